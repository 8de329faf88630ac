"""Bytes of an ONNX file that compute nothing: long names, notes of where something came from."""

from pathlib import Path


def short_names(path: str | Path) -> int:
    """Rename all that flows in the file to 0, 1, 2, ... and drop what is not needed, in place.

    Inputs and outputs keep their names, and what the net computes stays the same. Returns the bytes
    of the file. Needs the extra `compress`.
    """
    import onnx

    model = onnx.load(path)
    graph = model.graph
    new = {one.name: one.name for one in (*graph.input, *graph.output)} | {"": ""}
    for tensor in graph.initializer:
        tensor.name = new.setdefault(tensor.name, f"{len(new):x}")
        tensor.ClearField("doc_string")
    for node in graph.node:
        for field in ("name", "doc_string", "metadata_props"):
            node.ClearField(field)
        for names in (node.input, node.output):
            names[:] = [new.setdefault(name, f"{len(new):x}") for name in names]
    for field in ("value_info", "doc_string", "metadata_props"):
        graph.ClearField(field)
    for field in ("producer_name", "producer_version", "doc_string", "metadata_props"):
        model.ClearField(field)
    onnx.checker.check_model(model)
    return Path(path).write_bytes(model.SerializeToString())
