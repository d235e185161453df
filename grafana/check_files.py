#!/usr/bin/env python3
"""Reads the compose file and Grafana's provisioning, and says where one names what is not there.

Prints the settings that the compose file gives jeton as JSON, so that jeton itself can judge them. Neither Docker nor
Grafana is needed: what they alone could say is not checked.
"""

import json
import pathlib
import sys

import yaml

HERE = pathlib.Path(__file__).resolve().parent


def load(path):
    """A YAML file below this folder."""
    return yaml.safe_load((HERE / path).read_text())


def mounts(service):
    """Sources and targets of a service's volumes."""
    return [tuple(volume.split(":")[:2]) for volume in service.get("volumes", [])]


def complaints(compose):
    """What is wrong with the compose file."""
    services, volumes = compose["services"], compose["volumes"]
    for name, service in services.items():
        if ("image" in service) == ("build" in service):
            yield f"{name} needs either an image or a build"
        if ":" not in service.get("image", ":") or service.get("image", "").endswith(":latest"):
            yield f"{name} runs whatever version comes"
        for other in service.get("depends_on", []):
            if other not in services:
                yield f"{name} waits for {other}, which is not there"
        for source, _ in mounts(service):
            if source.startswith(".") and not (HERE / source).exists():
                yield f"{name} mounts {source}, which is not there"
            if not source.startswith(".") and source not in volumes:
                yield f"{name} mounts {source}, which is no volume"
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{name} opens {port} to everybody"


def provisioning(compose):
    """What is wrong with the provisioning, as the compose file mounts it."""
    targets = dict((target, source) for source, target in mounts(compose["services"]["grafana"]))
    if targets.get("/etc/grafana/provisioning") != "./provisioning":
        yield "grafana does not see its provisioning"
    source = load("provisioning/datasources/prometheus.yaml")["datasources"][0]
    host = source["url"].split("//")[1].split(":")[0]
    if source["type"] != "prometheus" or host not in compose["services"]:
        yield f"the data source is not there: {source['url']}"
    if source["jsonData"]["timeInterval"] != load("prometheus/prometheus.yml")["global"]["scrape_interval"]:
        yield "the data source has another interval than Prometheus"
    folder = load("provisioning/dashboards/jeton.yaml")["providers"][0]["options"]["path"]
    below = [source for target, source in targets.items() if target.startswith(folder + "/")]
    if below != ["./dashboards"] or len(list((HERE / "dashboards").glob("*.json"))) != 4:
        yield f"no dashboards below {folder}"


def main():
    """Complains or prints jeton's settings."""
    compose = load("docker-compose.yml")
    wrong = [*complaints(compose), *provisioning(compose)]
    if wrong:
        sys.exit("\n".join(wrong))
    print(json.dumps(compose["services"]["jeton"]["environment"]))


main()
