import sys
from pathlib import Path

import pytest
from grey import MODULE, Install


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a package where Python finds it, as pip does: a module and what is known about it."""

    def install(
        name: str = "grey-images", version: str = "1.0", module: str = MODULE, value: str = "Grey"
    ) -> Path:
        folder = tmp_path / name
        about = folder / f"{name.replace('-', '_')}-1.dist-info"
        about.mkdir(parents=True, exist_ok=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}")
        entry = f"[adagen.generators]\ngrey = grey_images:{value}\n"
        (about / "entry_points.txt").write_text(entry)
        (folder / "grey_images.py").write_text(module)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, "grey_images", raising=False)
        return folder

    yield install
    sys.modules.pop("grey_images", None)
