import ast
import graphlib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def modules():
    """Every module of the project by its import name."""
    for folder, prefix in ((ROOT / "affnet_tf", "affnet_tf"), (ROOT / "export", "affnet_tf.export")):
        for path in folder.rglob("*.py"):
            parts = [*path.relative_to(folder).with_suffix("").parts]
            yield ".".join([prefix, *(part for part in parts if part != "__init__")]), path


def imported(path, names):
    """The project's modules that a file imports, at its head or inside a function, but not for type checkers alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    ignored = {each for node in for_types for each in ast.walk(node)}
    for node in ast.walk(tree):
        if node in ignored:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            found = {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
        elif isinstance(node, ast.Import):
            found = {each.name for each in node.names}
        else:
            continue
        yield from found & names


def test_no_two_modules_import_each_other_not_even_late():
    paths = dict(modules())
    # A package that names its own modules imports itself by name only.
    graph = {name: set(imported(path, paths.keys() - {"affnet_tf", name})) for name, path in paths.items()}
    assert len(graph) > 50
    assert "affnet_tf.inference.predictor" in graph["affnet_tf.inference.recording"]
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, and names the cycle
