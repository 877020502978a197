"""Prepares this checkout: system libraries, a virtual environment, torch, the package.

Started by the Makefile with the system's own Python, so it uses the standard library only.
A finished environment is recognised by a stamp over pyproject.toml and this file, and kept.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STEPS = 5
MIN_PYTHON = (3, 11)
EXTRAS = "all,test,dev"

# Debian package -> the file that programs load from it; asking for the file works on every release.
LIBRARIES = {
    "libegl1": "libEGL.so.1",
    "libgl1": "libGL.so.1",
    "libglib2.0-0": "libglib-2.0.so.0",
    "libdbus-1-3": "libdbus-1.so.3",
    "libfontconfig1": "libfontconfig.so.1",
    "libxkbcommon-x11-0": "libxkbcommon-x11.so.0",
    "libxcb-cursor0": "libxcb-cursor.so.0",
    "libxcb-icccm4": "libxcb-icccm.so.4",
    "libxcb-image0": "libxcb-image.so.0",
    "libxcb-keysyms1": "libxcb-keysyms.so.1",
    "libxcb-randr0": "libxcb-randr.so.0",
    "libxcb-render-util0": "libxcb-render-util.so.0",
    "libxcb-shape0": "libxcb-shape.so.0",
    "libxcb-xkb1": "libxcb-xkb.so.1",
}
PROGRAMS = {"xvfb": "xvfb-run", "xauth": "xauth"}
FILES = {
    "libgl1-mesa-dri": ("/usr/lib/*/dri/swrast_dri.so", "/usr/lib/*/libgallium*.so"),
    "fonts-dejavu-core": ("/usr/share/fonts/**/*.ttf", "/usr/share/fonts/**/*.otf"),
}


class SetupError(Exception):
    """The set-up cannot go on; the message says what to do."""


def announce(step: int, text: str) -> None:
    print(f"[{step}/{STEPS}] {text}", flush=True)


def can_load(library: str) -> bool:
    """True when the dynamic linker finds the library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def list_missing_packages(needs_xvfb: bool) -> list[str]:
    """Debian packages for Qt and OpenGL whose files are not on this machine."""
    missing = [package for package, library in LIBRARIES.items() if not can_load(library)]
    if needs_xvfb:
        missing += [package for package, program in PROGRAMS.items() if not shutil.which(program)]
    for package, patterns in FILES.items():
        if not any(next(Path("/").glob(pattern[1:]), None) for pattern in patterns):
            missing.append(package)
    return missing


def install_packages(packages: list[str]) -> None:
    """Installs Debian packages when this is root on Debian; else says which line to run."""
    line = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(packages)}"
    if not shutil.which("apt-get"):
        raise SetupError(
            "these libraries (Debian's names) are needed to show a window and are missing: "
            f"{' '.join(packages)}. Install them with this system's package manager."
        )
    if os.geteuid() != 0:
        raise SetupError(
            "system libraries are missing and installing them needs root. Run this line, then "
            f"make again:\n\n    sudo sh -c '{line}'\n"
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if subprocess.run(["sh", "-c", line], env=environment, check=False).returncode != 0:
        raise SetupError(f"apt-get failed, see above. The line was:\n\n    {line}\n")


def prepare_system(needs_xvfb: bool) -> None:
    """Step 1: what Qt and OpenGL need from the system."""
    if sys.platform != "linux":
        announce(1, "system libraries: nothing to do on this system")
        return
    missing = list_missing_packages(needs_xvfb)
    announce(1, "system libraries: " + (f"missing {' '.join(missing)}" if missing else "complete"))
    if missing:
        install_packages(missing)


def make_venv(venv: Path) -> None:
    """Step 2: the virtual environment, made anew when it is broken."""
    python = venv / "bin" / "python"
    if (
        python.exists()
        and subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0
    ):
        announce(2, f"virtual environment: {venv.name} is there")
        return
    if venv.exists() and any(venv.iterdir()) and not (venv / "pyvenv.cfg").exists():
        raise SetupError(f"{venv} holds something else than a virtual environment; name another")
    announce(2, f"virtual environment: making {venv.name}")
    command = [sys.executable, "-m", "venv", "--clear", str(venv)]
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode == 0:
        return
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    print(f"      {sys.executable} has no ensurepip: python{version}-venv is missing", flush=True)
    install_packages([f"python{version}-venv"])
    subprocess.run(command, check=True)


def run_pip(venv: Path, arguments: list[str]) -> None:
    """Runs pip and shows one short line for each package; all of its last lines when it fails."""
    python = str(venv / "bin" / "python")
    options = ["--disable-pip-version-check", "--progress-bar", "off"]
    last_lines: deque[str] = deque(maxlen=40)
    with subprocess.Popen(
        [python, "-m", "pip", "install", *options, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    ) as process:
        for line in process.stdout or ():
            last_lines.append(line)
            if shown := summarise(line):
                print(f"      {shown}", flush=True)
    if process.returncode != 0:
        raise SetupError(
            f"pip could not install {' '.join(arguments)}; its last lines were:\n\n"
            + "".join(last_lines)
        )


def summarise(line: str) -> str:
    """What is worth showing of a line of pip's, in a few words; empty when nothing is."""
    text = line.strip()
    if text.startswith("Collecting "):
        return text.partition(" (from ")[0]
    if text.startswith("Downloading ") and " MB)" in text:
        return f"downloading {text.rpartition('(')[2].rstrip(')')}"
    if text.startswith("Installing collected packages: "):
        return f"installing {text.count(',') + 1} packages …"
    return ""


def install_torch(venv: Path, torch: str, index: str | None) -> None:
    """Step 3: the build of torch for CPUs, before anything can pull in another one."""
    announce(3, f"torch for CPUs: {torch}, from {'TORCH_INDEX' if index else 'pip’s own index'}")
    print(
        "      (if pip begins to download CUDA libraries, stop, and give the address of PyTorch's\n"
        "      index of CPU builds, see pytorch.org > Get started: make TORCH_INDEX=… demo)",
        flush=True,
    )
    run_pip(venv, [torch, *(["--index-url", index] if index else [])])


def install_package(venv: Path) -> None:
    """Step 4: the package from this checkout, with everything that its demo and tests need."""
    announce(4, f"napari-edgeflow[{EXTRAS}] from this checkout, with napari and Qt")
    run_pip(venv, ["--editable", f".[{EXTRAS}]"])


def check(venv: Path) -> None:
    """Step 5: what was installed can be imported."""
    code = (
        "import torch, napari, qtpy.QtWidgets, napari_edgeflow as e; "
        "print('      napari-edgeflow', e.__version__, '· napari', napari.__version__, "
        "'· torch', torch.__version__)"
    )
    announce(5, "check")
    if subprocess.run([venv / "bin" / "python", "-c", code], check=False).returncode != 0:
        raise SetupError(f"the environment does not work; remove {venv} and run make again")


def compute_stamp(torch: str) -> str:
    """Hash of all that decides what belongs into the environment."""
    digest = hashlib.sha256(f"{torch} {sys.version} {ROOT}".encode())
    for path in (ROOT / "pyproject.toml", Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    parser.add_argument("--torch", default="torch==2.13.0", help="what pip installs as torch")
    parser.add_argument("--torch-index", help="index to take torch from")
    parser.add_argument("--xvfb", action="store_true", help="the tests: need a virtual display")
    options = parser.parse_args()
    if sys.version_info < MIN_PYTHON:
        raise SetupError(
            f"Python {'.'.join(map(str, MIN_PYTHON))} or later is needed, this is "
            f"{sys.version.split()[0]}. Name another one: make PYTHON=python3.11"
        )
    has_display = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    started = time.monotonic()
    prepare_system(needs_xvfb=options.xvfb or not has_display)
    stamp_file = options.venv / "napari-edgeflow.stamp"
    stamp = compute_stamp(options.torch)
    if stamp_file.exists() and stamp_file.read_text() == stamp:
        announce(STEPS, f"environment: {options.venv.name} is complete")
        return
    make_venv(options.venv)
    install_torch(options.venv, options.torch, options.torch_index or None)
    install_package(options.venv)
    check(options.venv)
    stamp_file.write_text(stamp)
    print(f"      ready after {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        sys.exit(f"set-up stopped: {error}")
