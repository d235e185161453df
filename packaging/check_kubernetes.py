#!/usr/bin/env python3
"""Reads what `kubectl kustomize` made of packaging/kubernetes (on standard input), and says what would not work.

    kubectl kustomize packaging/kubernetes | python packaging/check_kubernetes.py

Kubernetes' own kinds are held against its published schemas (kubernetes-validate from PyPI), and all names against each
other: labels, ports, volumes, mounted files, the deadlines of a stop. No cluster is needed; what only one could say is
not checked. Prints the settings file on standard output, so that jeton can judge it.
"""

import sys
import tomllib

import kubernetes_validate
import yaml

VERSION = "1.31"
# Of the Prometheus operator, whose schemas Kubernetes does not have.
FOREIGN = {"ServiceMonitor", "PrometheusRule"}
# What has to be over before the container is killed, when nothing is set.
DRAIN = {"drain_delay": "0s", "drain": "10s"}


def seconds(text):
    """A duration of the settings file in whole seconds."""
    number, unit = text.rstrip("smh"), text[-1]
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]


def schemas(documents):
    """What Kubernetes would refuse."""
    for document in documents:
        if document["kind"] in FOREIGN:
            continue
        try:
            kubernetes_validate.validate(document, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{document['kind']} {document['metadata']['name']}: {'.'.join(map(str, error.path))}: {error.message}"


def selectors(kinds):
    """What selects nothing."""
    labels = kinds["Deployment"][0]["spec"]["template"]["metadata"]["labels"]
    wanted = [service["spec"]["selector"] for service in kinds["Service"]]
    wanted += [kinds[kind][0]["spec"]["selector"]["matchLabels"] for kind in ("Deployment", "PodDisruptionBudget")]
    wanted += [kinds["NetworkPolicy"][0]["spec"]["podSelector"]["matchLabels"]]
    for selector in wanted:
        if not selector or not selector.items() <= labels.items():
            yield f"no pod has the labels {selector}"
    monitor = kinds["ServiceMonitor"][0]["spec"]
    watched = [service for service in kinds["Service"]
               if monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()]
    if len(watched) != 1:
        yield f"the ServiceMonitor watches {len(watched)} services"
        return
    if watched[0]["metadata"]["labels"].get(monitor["jobLabel"]) != "jeton":
        yield "the job is not called jeton, as rules and dashboards expect"
    ports = {port["name"] for port in watched[0]["spec"]["ports"]}
    yield from (f"{end['port']} is no port of the watched service" for end in monitor["endpoints"]
                if end["port"] not in ports)


def containers(pod):
    """What a container asks for and is not there, and what it may and need not."""
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in pod["initContainers"] + pod["containers"]:
        name = container["name"]
        yield from (f"{name} mounts {mount['name']}, which is no volume" for mount in container["volumeMounts"]
                    if mount["name"] not in volumes)
        security = container["securityContext"]
        if not security["readOnlyRootFilesystem"] or security["allowPrivilegeEscalation"]:
            yield f"{name} may write or become more than it is"
        if security["capabilities"]["drop"] != ["ALL"]:
            yield f"{name} keeps capabilities"
        if container["image"].endswith(":latest") or ":" not in container["image"]:
            yield f"{name} runs whatever version comes"
    if not pod["securityContext"]["runAsNonRoot"] or pod["automountServiceAccountToken"]:
        yield "the pod is root, or has a token of Kubernetes"


def ports(kinds, pod, settings):
    """Ports that nobody listens on."""
    there = {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}
    listens = {settings[name].rsplit(":", 1)[1] for name in ("listen", "ops_listen")}
    if {str(port) for port in there.values()} != listens:
        yield f"jeton listens on {sorted(listens)}"
    named = [port["targetPort"] for service in kinds["Service"] for port in service["spec"]["ports"]]
    named += [pod["containers"][0][probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")]
    named += [port["port"] for rule in kinds["NetworkPolicy"][0]["spec"]["ingress"] for port in rule["ports"]]
    yield from (f"{name} is no port of the container" for name in named if name not in there)


def files(pod, settings):
    """Files that the settings name and nobody brings."""
    *command, folder, master_key, password = pod["initContainers"][0]["command"]
    brought = {f"{folder}/{path.rsplit('/', 1)[1]}" for path in (master_key, password)}
    if command[:3] != ["install", "-m", "0400"]:
        yield "the keys are not for their owner alone"
    for name in (settings["master_key_file"], settings["store"]["redis_password_file"]):
        if name not in brought:
            yield f"nobody brings {name}"
    for mount in pod["containers"][0]["volumeMounts"]:
        if mount["mountPath"] == folder:
            return
    yield f"jeton does not see {folder}"


def deadlines(pod, settings):
    """A stop that is cut off, or comes before the load balancer knows of it."""
    serve = DRAIN | settings.get("serve", {})
    delay, drain = seconds(serve["drain_delay"]), seconds(serve["drain"])
    if pod["terminationGracePeriodSeconds"] <= delay + drain:
        yield "it is killed before it has drained"
    probe = pod["containers"][0]["readinessProbe"]
    if delay < probe["periodSeconds"] * (probe["failureThreshold"] + 1):
        yield "it stops before the probes have said so"


def main():
    """Complains, or prints the settings."""
    documents = [document for document in yaml.safe_load_all(sys.stdin) if document]
    kinds = {}
    for document in documents:
        kinds.setdefault(document["kind"], []).append(document)
    pod = kinds["Deployment"][0]["spec"]["template"]["spec"]
    config_map = kinds["ConfigMap"][0]
    text = config_map["data"]["jeton.toml"]
    settings = tomllib.loads(text)
    wrong = [*schemas(documents), *selectors(kinds), *containers(pod), *ports(kinds, pod, settings),
             *files(pod, settings), *deadlines(pod, settings)]
    mounted = [volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume]
    if mounted != [config_map["metadata"]["name"]]:
        wrong.append(f"the pod mounts the settings {mounted}")
    if wrong:
        sys.exit("\n".join(wrong))
    print(text, end="")


main()
