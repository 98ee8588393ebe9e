"""Ships experiments/ and sweeps/ inside the wheel; everything else about the package is in pyproject.toml."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

#: Folders beside the packages that the program reads, and where the wheel has them.
SHIPPED = ("experiments", "sweeps")
INSIDE = Path("prosody_tts") / "shipped"


class BuildWithFiles(build_py):
    """Copies the folders beside the packages; an editable installation reads them where they are."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for name in SHIPPED:
                shutil.copytree(name, Path(self.build_lib) / INSIDE / name, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithFiles})
