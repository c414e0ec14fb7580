"""The registry: what it finds, what overrides what, and what it says about strategies that cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from batchbus_strategies import Registry, RegistryEntry, RegistryError

HELLO = """
    from batchbus_strategies import BatchStrategy

    class Hello(BatchStrategy):
        identifier = "{identifier}"
        batch_type = "{batch_type}"

        def process(self, run): ...
"""


def write(folder: Path, name: str, source: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(dedent(source))
    return path


def hello(folder: Path, name: str, batch_type: str, identifier: str = "hello-strategy") -> Path:
    return write(folder, name, HELLO.format(batch_type=batch_type, identifier=identifier))


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installer:
    monkeypatch.syspath_prepend(tmp_path / "site")
    return Installer(tmp_path / "site")


class Installer:
    """Puts distributions where `importlib.metadata` finds them."""

    def __init__(self, site: Path) -> None:
        self._site = site

    def __call__(self, distribution: str, source: str, value: str) -> None:
        module, _, _ = value.partition(":")
        write(self._site, f"{module}.py", source)
        info = self._site / f"{distribution.replace('-', '_')}-1.0.dist-info"
        write(info, "METADATA", f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        write(info, "entry_points.txt", f"[batchbus.strategies]\nhello = {value}\n")
        sys.modules.pop(module, None)


def entry(registry: Registry, batch_type: str) -> RegistryEntry:
    return next(entry for entry in registry.entries if entry.batch_type == batch_type)


def errors(folder: Path | None = None) -> str:
    with pytest.raises(RegistryError) as caught:
        Registry.load(folder)
    return str(caught.value)


def test_the_built_in_strategies_are_found_without_a_folder() -> None:
    registry = Registry.load()

    assert {"product-import", "product-export"} <= {entry.batch_type for entry in registry.entries}
    assert entry(registry, "product-import").origin == "built-in"
    assert registry.get("product-import") is registry.get("product-import")
    assert registry.get("no-such-type") is None


def test_a_file_in_the_folder_adds_a_batch_type(tmp_path: Path) -> None:
    path = hello(tmp_path, "hello.py", "hello")

    registry = Registry.load(tmp_path)

    strategy = registry.get("hello")
    assert strategy is not None and strategy.identifier == "hello-strategy"
    assert entry(registry, "hello").origin == str(path)
    assert entry(registry, "hello").overrides == ()


def test_the_folder_overrides_a_built_in_strategy(tmp_path: Path) -> None:
    hello(tmp_path, "mine.py", "product-import", "my-import")

    found = entry(Registry.load(tmp_path), "product-import")

    assert found.identifier == "my-import"
    assert [overridden.origin for overridden in found.overrides] == ["built-in"]


def test_another_distribution_overrides_a_built_in_strategy_and_the_folder_overrides_both(
    tmp_path: Path, install: Installer
) -> None:
    source = HELLO.format(batch_type="product-import", identifier="their-import")
    install("their-strategies", source, "their_import_strategy:Hello")
    assert entry(Registry.load(), "product-import").origin == "entry point their-strategies"

    hello(tmp_path / "folder", "mine.py", "product-import", "my-import")
    found = entry(Registry.load(tmp_path / "folder"), "product-import")

    assert found.identifier == "my-import"
    assert [overridden.origin for overridden in found.overrides] == ["entry point their-strategies", "built-in"]


def test_two_files_for_one_batch_type_are_an_error_that_names_both(tmp_path: Path) -> None:
    first, second = hello(tmp_path, "a.py", "hello"), hello(tmp_path, "b.py", "hello")

    said = errors(tmp_path)

    assert "serve hello" in said and str(first) in said and str(second) in said


def test_two_distributions_for_one_batch_type_are_an_error_that_names_both(install: Installer) -> None:
    for name in ("alpha", "beta"):
        source = HELLO.format(batch_type="hello", identifier=f"{name}-hello")
        install(f"{name}-strategies", source, f"{name}_hello_strategy:Hello")

    said = errors()

    assert "serve hello" in said and "alpha-strategies" in said and "beta-strategies" in said


def test_a_file_that_does_not_import_is_named_with_its_line(tmp_path: Path) -> None:
    broken = write(tmp_path, "broken.py", "import os\n\n\ndef half(:\n")
    failing = write(tmp_path, "failing.py", "import os\n\nos.no_such_thing()\n")

    said = errors(tmp_path)

    assert f"{broken}, line 4: SyntaxError" in said
    assert f"{failing}, line 3: AttributeError" in said


@pytest.mark.parametrize(
    "leaving", ["import sys\nsys.exit()\n", "import sys\nsys.exit('bye')\n", "raise GeneratorExit\n"]
)
def test_a_file_that_ends_the_process_is_an_error_that_names_it(tmp_path: Path, leaving: str) -> None:
    path = write(tmp_path, "leaving.py", leaving)

    assert str(path) in errors(tmp_path)


def test_an_entry_point_that_ends_the_process_is_named(install: Installer) -> None:
    install("their-strategies", "raise SystemExit(0)\n", "their_leaving_strategy:Thing")

    assert "SystemExit: 0" in errors()


def test_an_entry_point_that_does_not_load_is_named(install: Installer) -> None:
    install("their-strategies", "", "their_empty_strategy:Missing")

    assert "their-strategies (their_empty_strategy:Missing): their_empty_strategy has no Missing" in errors()


def test_an_entry_point_to_something_else_is_named(install: Installer) -> None:
    install("their-strategies", "Thing = 3\n", "their_thing_strategy:Thing")

    assert "(their_thing_strategy:Thing) is not a subclass of BatchStrategy" in errors()


_WHOLE = "identifier, batch_type = 'x', 'x'\n    def process(self, run): ...\n    "


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("identifier = 'x'", "class Mine has no batch_type"),
        ("batch_type = 'x'", "class Mine has no identifier"),
        ("identifier, batch_type = 'x', 'Has.Dots'", "batch_type 'Has.Dots' is not allowed"),
        ("identifier, batch_type = 'x', '-x'", "batch_type '-x' is not allowed"),
        ("identifier, batch_type, context_model = 'x', 'x', dict", "context_model is not a subclass"),
        ("identifier, batch_type = 'x', 'x'\n    def __init__(self, url): ...", "__init__ asks for url"),
        (_WHOLE + "def __init__(self): 1 / 0", "cannot be made: ZeroDivisionError"),
        (_WHOLE + "def __init__(self): raise SystemExit(3)", "cannot be made: SystemExit: 3"),
        (_WHOLE + "isolation = 'thread'", "isolation can be \"process\" or None, not 'thread'"),
        ("identifier, batch_type = 'x', 'x'", "class Mine has neither phase"),
        ("identifier, batch_type = 'x', 'x'\n    def proces(self, run): ...", "did you mean process?"),
        ("identifier, batch_type = 'x', 'x'\n    def preProcess(self, run): ...", "did you mean pre_process?"),
        ("identifier, batch_type = 'x', 'x'\n    def prepare(self, draft, actor): ...", "has neither phase"),
    ],
)
def test_a_class_that_cannot_be_a_strategy_says_why(tmp_path: Path, body: str, said: str) -> None:
    write(
        tmp_path,
        "mine.py",
        f"from batchbus_strategies import BatchStrategy\n\nclass Mine(BatchStrategy):\n    {body}\n",
    )
    assert said in errors(tmp_path)


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, "broken.py", "def half(:\n")
    hello(tmp_path, "dots.py", "has.dots")

    with pytest.raises(RegistryError) as caught:
        Registry.load(tmp_path)

    assert len(caught.value.errors) == 2


def test_a_base_class_and_imported_strategies_are_no_strategies_of_the_file(tmp_path: Path) -> None:
    write(
        tmp_path,
        "mine.py",
        """
        from batchbus_strategies import BatchStrategy
        from batchbus_strategies.product_import import ProductImport

        class Base(BatchStrategy):
            identifier = "base"

        class Mine(Base):
            batch_type = "mine"

            def process(self, run): ...
        """,
    )
    registry = Registry.load(tmp_path)

    assert registry.get("mine") is not None
    assert entry(registry, "product-import").origin == "built-in"


def test_files_that_begin_with_an_underscore_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, "_draft.py", "def half(:\n")
    assert Registry.load(tmp_path).entries == Registry.load().entries


def test_a_file_may_bear_the_name_of_a_standard_module(tmp_path: Path) -> None:
    hello(tmp_path, "csv.py", "hello")
    Registry.load(tmp_path)

    import csv

    assert hasattr(csv, "reader")


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    assert "is not a folder" in errors(tmp_path / "nowhere")
