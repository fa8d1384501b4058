"""Debian packages by apt, downloaded into a directory: nothing is installed, nothing else changed, root not needed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.kernel_matrix.errors import Unavailable

_SOURCE_FORMAT = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)"


class Apt:
    """apt as the machine has it configured; `private` gives it lists of its own, fresh, and one suite more."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._environment = dict(os.environ, LC_ALL="C")
        if not shutil.which("apt-get"):
            raise Unavailable("there is no apt-get here: the kernels are Debian's packages. Run this on Debian 12.")

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)

    def use_private_lists(self) -> None:
        """Fetch lists into the directory: of the machine's own sources, and of their backports, from the same place."""
        lists = self._directory / "lists"
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        targets = self._run("apt-get", "indextargets", "--format", _SOURCE_FORMAT, "Created-By: Packages").stdout
        extra = []
        for uri, release, component in (line.split("|") for line in targets.splitlines()):
            if component == "main" and re.fullmatch(r"[a-z]+", release):
                keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
                extra.append(f"deb [signed-by={keyring}] {uri} {release}-backports main\n")
        listed = Path("/etc/apt/sources.list")
        sources = self._directory / "sources.list"
        sources.write_text((listed.read_text() + "\n" if listed.exists() else "") + "".join(sorted(set(extra))))
        configuration = self._directory / "apt.conf"
        configuration.write_text(
            f'Dir::State::Lists "{lists}/";\nDir::Cache "{self._directory}/";\nDir::Etc::SourceList "{sources}";\n'
        )
        self._environment["APT_CONFIG"] = str(configuration)
        # Its exit code says that some suite failed; whether a needed one did shows when a package is looked for.
        self._say(self._run("apt-get", "-o", "APT::Sandbox::User=root", "update", "-q").stderr)

    @staticmethod
    def _say(text: str) -> None:
        for line in text.splitlines():
            if line.strip():
                print(f"apt: {line}", file=sys.stderr)

    def names(self, prefix: str) -> list[str]:
        """Names of packages that can be downloaded."""
        known = self._run("apt-cache", "pkgnames", prefix).stdout.split()
        if not known:
            return []
        policies = self._run("apt-cache", "policy", *known).stdout
        return re.findall(r"^(\S+):\n(?:  Installed: .*\n)?  Candidate: (?!\(none\))", policies, flags=re.MULTILINE)

    def download(self, package: str) -> Path:
        """Download a package with apt's own progress; one that was interrupted goes on where it stopped."""
        archives = self._directory / "archives"
        (archives / "partial").mkdir(parents=True, exist_ok=True)
        options = ("-o", f"Dir::Cache::Archives={archives}/", "-o", "APT::Sandbox::User=root")
        # Progress is talk: it goes where messages go, and stdout stays data.
        status = subprocess.run(
            ["apt-get", *options, "download", package],
            env=self._environment,
            cwd=archives,
            stdout=sys.stderr,
            check=False,
        ).returncode
        # The newest: an interrupted download of an older version may lie beside it.
        found = sorted(archives.glob(f"{package}_*.deb"), key=lambda path: path.stat().st_mtime)
        if status or not found:
            raise Unavailable(f"apt-get could not download {package} (exit {status}): is the network there?")
        return found[-1]
