"""The house style of the dashboards: queries that name job and instance, panels that say what they show and from when
on it is bad.

Every panel has a title, a sentence or two for whoever is woken up, a unit, and the variable data source. Green, yellow
and red mean the same everywhere; a line without a verdict has a colour of the palette.
"""

from grafana_foundation_sdk.builders import bargauge, common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models import prometheus as prometheus_models

DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
SCOPE = 'job=~"$job",instance=~"$instance"'
GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"
TAG = "jeton"


def series(metric, labels=""):
    """A selector within the chosen job and instances."""
    return f"{metric}{{{SCOPE}{',' + labels if labels else ''}}}"


def rate(metric, labels="", window="$__rate_interval"):
    """Events per second."""
    return f"rate({series(metric, labels)}[{window}])"


def total(metric, labels="", by="", window="$__rate_interval"):
    """Events per second over all instances, or for each value of a label."""
    return f"sum{f' by ({by})' if by else ''} ({rate(metric, labels, window)})"


def quantile(share, metric, labels="", by=""):
    """A quantile of a histogram."""
    groups = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({groups}) ({rate(f'{metric}_bucket', labels)}))"


def mean(metric, labels="", by=""):
    """The mean of a histogram."""
    return f"{total(f'{metric}_sum', labels, by)} / {total(f'{metric}_count', labels, by)}"


class Query:
    """One query and how its lines are called."""

    def __init__(self, expr, legend="", instant=False, form=None):
        self.expr, self.legend, self.instant, self.form = expr, legend, instant, form

    def target(self, position):
        """The query as a panel's target."""
        query = prometheus.Dataquery().datasource(DATASOURCE).expr(self.expr).ref_id(chr(ord("A") + position))
        query.legend_format(self.legend or "__auto")
        if self.form:
            query.format(self.form)
        return query.instant() if self.instant else query.range()


def steps(*bounds):
    """Thresholds: a base colour, then (value, colour) pairs."""
    base, *rest = bounds
    first = models.Threshold(value=None, color=base)
    values = [models.Threshold(value=value, color=color) for value, color in rest]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps([first, *values])


def dress(panel, title, description, unit, size, queries):
    """What every panel has."""
    width, height = size
    panel.title(title).description(description).datasource(DATASOURCE).unit(unit).span(width).height(height)
    for position, query in enumerate(queries):
        panel.with_target(query.target(position))
    return panel


def number(title, description, expr, unit, thresholds, *, width=4, height=4, decimals=None, mappings=None, legend="",
           graph=True):
    """One figure of now, with its recent past behind it."""
    panel = dress(stat.Panel(), title, description, unit, (width, height), [Query(expr, legend)])
    panel.thresholds(steps(*thresholds)).color_scheme(dashboard.FieldColor().mode("thresholds"))
    panel.graph_mode(common_models.BigValueGraphMode("area" if graph else "none"))
    panel.color_mode(common_models.BigValueColorMode("value")).no_value("none yet")
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
    if decimals is not None:
        panel.decimals(decimals)
    if mappings:
        panel.mappings(mappings)
    return panel


def words(**by_value):
    """A figure shown as a word: words(v0="down", v1="up")."""
    options = {key[1:]: models.ValueMappingResult(text=text) for key, text in by_value.items()}
    return [models.ValueMap(options=options)]


def lines(title, description, queries, unit, *, width=12, height=8, thresholds=None, colors=None, stack=False,
          minimum=0.0, maximum=None, log=False):
    """Figures over time. Thresholds, where there are any, are drawn as dashed lines."""
    panel = dress(timeseries.Panel(), title, description, unit, (width, height), queries)
    panel.line_width(1.5).fill_opacity(55 if stack else 8).show_points(common_models.VisibilityMode.NEVER)
    panel.span_nulls(False).color_scheme(dashboard.FieldColor().mode("palette-classic"))
    panel.gradient_mode(common_models.GraphGradientMode.NONE if stack else common_models.GraphGradientMode.OPACITY)
    panel.tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI)
                  .sort(common_models.SortOrder.DESCENDING))
    if minimum is not None:
        panel.min(minimum)
    if maximum is not None:
        panel.max(maximum)
    if stack:
        panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A"))
    if log:
        panel.scale_distribution(common.ScaleDistributionConfig().type(common_models.ScaleDistribution.LOG).log(10))
    if thresholds:
        panel.thresholds(steps(*thresholds))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED))
    for name, color in (colors or {}).items():
        fixed = {"mode": "fixed", "fixedColor": color}
        panel.override_by_name(name, [models.DynamicConfigValue(id_val="color", value=fixed)])
    # Beside a wide panel there is room for many lines of figures, below a narrow one for a few names.
    shown = common.VizLegendOptions().show_legend(True)
    if width >= 12:
        shown.placement(common_models.LegendPlacement.RIGHT).display_mode(common_models.LegendDisplayMode.TABLE)
        shown.calcs(["lastNotNull", "max"]).sort_by("Last *").sort_desc(True)
    else:
        shown.placement(common_models.LegendPlacement.BOTTOM).display_mode(common_models.LegendDisplayMode.LIST).calcs([])
    return panel.legend(shown)


def bars(title, description, queries, unit, thresholds, *, width=12, height=8, maximum=1.0):
    """Figures of now, side by side, each against the same bound."""
    panel = dress(bargauge.Panel(), title, description, unit, (width, height), queries)
    panel.thresholds(steps(*thresholds)).color_scheme(dashboard.FieldColor().mode("thresholds"))
    panel.min(0.0).max(maximum).decimals(1).orientation(common_models.VizOrientation.HORIZONTAL)
    panel.display_mode(common_models.BarGaugeDisplayMode.BASIC)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
    return panel


def warmth(title, description, metric, *, width=12, height=8):
    """A histogram over time: the darker, the more requests took that long."""
    query = Query(f"sum by (le) (increase({series(f'{metric}_bucket')}[$__rate_interval]))", "{{le}}",
                  form=prometheus_models.PromQueryFormat.HEATMAP)
    panel = dress(heatmap.Panel(), title, description, "short", (width, height), [query])
    panel.calculate(False).cell_gap(1).y_axis(heatmap.YAxisConfig().unit("s").decimals(0))
    panel.color(heatmap.HeatmapColorOptions().mode(heatmap_models.HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
                .exponent(0.5).reverse(False).fill("dark-orange").scale(heatmap_models.HeatmapColorScale.EXPONENTIAL))
    panel.filter_values(heatmap.FilterValueRange().le(1e-9)).show_legend()
    return panel.max_data_points(80)


def grid(title, description, query, columns, *, unit="short", width=12, height=6):
    """A table of now; `columns` names the labels and figures to show, in their order."""
    query.instant, query.form = True, prometheus_models.PromQueryFormat.TABLE
    panel = dress(table.Panel(), title, description, unit, (width, height), [query])
    names = list(columns)
    panel.with_transformation(models.DataTransformerConfig(id_val="filterFieldsByName", options={
        "include": {"names": names}}))
    panel.with_transformation(models.DataTransformerConfig(id_val="organize", options={
        "indexByName": {name: position for position, name in enumerate(names)}, "renameByName": columns}))
    return panel


def board(uid, title, description, rows):
    """A dashboard of titled rows of panels."""
    built = dashboard.Dashboard(title).uid(uid).description(description).tags([TAG]).editable().refresh("30s")
    built.time("now-1h", "now").timezone("browser").tooltip(models.DashboardCursorSync.CROSSHAIR)
    built.with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    built.with_variable(choice("job", "Job", "label_values(jeton_build_info, job)"))
    built.with_variable(choice("instance", "Instance", 'label_values(jeton_build_info{job=~"$job"}, instance)'))
    built.link(dashboard.DashboardLink("jeton").type(models.DashboardLinkType.DASHBOARDS).tags([TAG]).as_dropdown(True)
               .include_vars(True).keep_time(True))
    for name, color, expr in (
        ("Restarts", "orange", f"changes({series('process_start_time_seconds')}[1m]) > 0"),
        ("Key rotations", "purple",
         f"changes({series('jeton_signing_key_last_rotation_timestamp_seconds')}[1m]) > 0"),
    ):
        built.annotation(dashboard.AnnotationQuery().name(name).enable(True).icon_color(color).datasource(DATASOURCE)
                         .expr(expr))
    number_of = 0
    for row, panels in rows:
        number_of += 1
        built.with_row(dashboard.Row(row).id(number_of))
        for panel in panels:
            number_of += 1
            built.with_panel(panel.id(number_of))
    return built.build()


def choice(name, label, query):
    """A variable with the values of a label, all of them at first."""
    everything = models.VariableOption(text="All", value="$__all", selected=True)
    variable = dashboard.QueryVariable(name).label(label).datasource(DATASOURCE)
    variable.query({"query": query, "refId": f"variable-{name}"}).refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    return variable.multi(True).include_all(True).all_value(".+").current(everything).sort(
        models.VariableSort.ALPHABETICAL_ASC)
