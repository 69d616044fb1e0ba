"""Known vulnerabilities in a lock, by pip-audit: found, none, or not known. Only the standard library.

pip-audit says that it found nothing, and succeeds, also where it could ask nobody about a package.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CLEAN, FOUND, UNKNOWN = 0, 1, 3
LONGEST_S = 300


def judge(report: Any) -> tuple[int, list[str]]:
    """The exit code for a report in pip-audit's JSON, and a line for each thing to know."""
    packages = report["dependencies"]
    found = [
        f"{each['name']} {each['version']}: {flaw['id']}, fixed in {_versions(flaw)}"
        for each in packages
        for flaw in each.get("vulns", [])
    ]
    unknown = [each["name"] for each in packages if "vulns" not in each]
    if unknown:
        found.append(f"nothing is known of {len(unknown)} of {len(packages)} packages: {', '.join(unknown)}")
    if any("vulns" in each and each["vulns"] for each in packages):
        return FOUND, found
    if unknown or not packages:
        return UNKNOWN, found
    return CLEAN, [f"no known vulnerability in {len(packages)} packages"]


def _versions(flaw: Any) -> str:
    return ", ".join(flaw["fix_versions"]) or "nothing"


def audit(program: str, lock: str) -> tuple[int, list[str]]:
    """Run pip-audit over a lock; nothing is installed or resolved."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        words = (program, "--disable-pip", "--require-hashes", "--progress-spinner=off", "-r", lock)
        report = ("-f", "json", "-o", str(file))
        try:
            done = subprocess.run(
                (*words, *report), capture_output=True, text=True, timeout=LONGEST_S, check=False
            )
            return judge(json.loads(file.read_text(encoding="utf-8")))
        except subprocess.TimeoutExpired:
            return UNKNOWN, [f"pip-audit did not end within {LONGEST_S} s"]
        except (OSError, ValueError):
            return UNKNOWN, [f"pip-audit made no report: {done.stderr.strip()[-300:]}"]


def main(program: str, lock: str, options: Sequence[str]) -> int:
    """Say what was found. With --where-possible it is no error that nothing could be found out."""
    code, lines = audit(program, lock)
    for line in lines:
        sys.stdout.write(f"{line}\n")
    if code == UNKNOWN:
        sys.stdout.write(
            f"NOT AUDITED: {lock}. Run `make audit` where the data can be had, before a release.\n"
        )
        return CLEAN if "--where-possible" in options else UNKNOWN
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
