"""Runs in the virtual environment of the Helm tests: Kubernetes' own schemas over objects.

Objects come as a JSON list on the standard input, versions as arguments (`newest` is one). The answer is a
JSON list of what is wrong, with `no schema: KIND` for kinds that Kubernetes does not define.
"""

import json
import sys

import kubernetes_validate  # type: ignore[import-not-found]  # (not in the environment of the project)


def problems(versions: list[str]) -> list[str]:
    """One line for each object and version that does not fit."""
    found = []
    for given in versions:
        version = kubernetes_validate.latest_version() if given == "newest" else given
        for thing in OBJECTS:
            where = f"{version}: {thing['kind']} {thing['metadata']['name']}"
            try:
                kubernetes_validate.validate(thing, version, strict=True)
            except kubernetes_validate.SchemaNotFoundError:
                found.append(f"no schema: {thing['kind']}")
            except kubernetes_validate.ValidationError as error:
                found.append(f"{where}: {error.message}")
    return found


if __name__ == "__main__":
    OBJECTS = json.load(sys.stdin)
    json.dump(problems(sys.argv[1:]), sys.stdout)
