"""Integers in ONNX files, as ONNX Runtime runs them; the report on them."""

import csv
import math
import sys
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from tinykd import MLP, MobileNet, predict
from tinykd.compress import Report, predict_onnx, quantized, report, slimmer, to_onnx
from tinykd.compress.report import flops, parameters
from tinykd.metrics import wilson

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def nets():
    torch.manual_seed(0)
    x = torch.rand(100, 28, 28)
    mobile = MobileNet(1, 4, 8, 10, 10)
    for _ in range(5):
        mobile(x)
    mlp = MLP(784, 30, 20, 10).eval()
    for layer in mlp.layers:
        nn.init.normal_(layer.bias)  # a bias of zeros is left out by the exporter
    return {"mobilenet": mobile.eval(), "mlp": mlp}, x


@pytest.fixture(scope="module")
def files(nets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    models, x = nets
    found = {}
    for name, net in models.items():
        eight = quantized(net, x)
        found[name] = eight, to_onnx(eight, x, folder / f"{name}.onnx")
    return found


def test_a_module_and_its_file_agree_and_the_exporter_is_silent(nets, tmp_path, capsys):
    models, x = nets
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = to_onnx(models["mobilenet"], x, tmp_path / "a.onnx")
    assert capsys.readouterr() == ("", "")
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]
    torch.testing.assert_close(predict_onnx(path, x, 7), predict(models["mobilenet"], x))


@pytest.mark.parametrize("name", ["mobilenet", "mlp"])
def test_integers_say_what_the_rounded_net_says(name, nets, files):
    x = nets[1]
    eight, path = files[name]
    ours, theirs = predict(eight, x), predict_onnx(path, x)
    spread = (ours - predict(nets[0][name], x)).abs().mean()
    assert (ours - theirs).abs().mean() < 0.2 * spread  # but for numbers that lie at a half
    assert (ours.argmax(1) == theirs.argmax(1)).float().mean() > 0.97


@pytest.mark.parametrize("name", ["mobilenet", "mlp"])
def test_weights_are_int8_and_biases_int32(name, files):
    eight, path = files[name]
    graph = onnx.load(path).graph
    stored = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    whole = [array for key, array in stored.items() if key.endswith("weight_q")]
    assert sum(array.size for array in whole) == sum(
        layer.layer.weight.numel() for layer in eight.modules() if hasattr(layer, "layer")
    )
    assert {array.dtype for array in whole} == {np.dtype(np.int8)}
    assert all(a.dtype == np.int32 for key, a in stored.items() if key.endswith("bias_q"))
    assert max(a.size for a in stored.values() if a.dtype == np.float32) <= 30  # scales alone
    fed = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm"):
            assert [fed[name].op_type for name in node.input] == ["DequantizeLinear"] * 3


def test_onnx_runtime_puts_integer_layers_in_their_place(files, tmp_path):
    import onnxruntime

    for name, kind, count in (("mobilenet", "QLinearConv", 5), ("mlp", "QGemm", 3)):
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / f"{name}.onnx")
        options.log_severity_level = 3
        onnxruntime.InferenceSession(
            str(files[name][1]), options, providers=["CPUExecutionProvider"]
        )
        made = [node.op_type for node in onnx.load(tmp_path / f"{name}.onnx").graph.node]
        assert made.count(kind) == count


def test_other_bits_are_refused(nets, tmp_path):
    models, x = nets
    with pytest.raises(ValueError, match="has 4"):
        to_onnx(quantized(models["mlp"], x, 4), x, tmp_path / "a.onnx")


def test_the_report(nets, tmp_path):
    models, x = nets
    labels = predict(models["mlp"], x).argmax(1)
    labels[:10] = (labels[:10] + 1) % 10
    some = {
        "mlp": models["mlp"],
        "slim": slimmer(models["mlp"], 0.5),
        "int8": quantized(models["mlp"], x),
    }
    found = report(some, (x, labels), rounds=5, folder=tmp_path)
    assert found["mlp"]["accuracy"] == pytest.approx(0.9)
    assert found["mlp"]["parameters"] == found["int8"]["parameters"] == 785 * 30 + 31 * 20 + 21 * 10
    assert found["mlp"]["flops"] == 2 * (784 * 30 + 30 * 20 + 20 * 10) == found["int8"]["flops"]
    assert found["slim"]["bytes"] < found["mlp"]["bytes"]
    assert found["int8"]["bytes"] < 0.5 * found["mlp"]["bytes"]
    for row in found.rows:
        assert 0 < row["ms_1"] <= row["ms_1_p95"]
        assert row["accuracy_low"] <= row["accuracy"] < row["accuracy_high"]
        assert row["memory"] > 0 or sys.platform != "linux"
    text = found.table()
    assert len(text.splitlines()) == 5
    assert "1 thread, 5 timings" in text
    found.csv(tmp_path / "report.csv")
    with open(tmp_path / "report.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == list(some)
    assert float(rows[0]["ms_64"]) == found["mlp"]["ms_64"]
    again = report({"file": tmp_path / "mlp.onnx"}, (x, labels), rounds=2)
    assert again["file"]["accuracy"] == found["mlp"]["accuracy"]
    assert math.isnan(again["file"]["flops"])
    with pytest.raises(KeyError, match="no model 'none'"):
        found["none"]


def test_who_wins():
    rows = [
        {"model": name, "ms_1": ms, "accuracy": right}
        for name, ms, right in (
            ("a", 1, 0.9),
            ("b", 2, 0.95),
            ("c", 3, 0.94),
            ("d", 2, 0.91),
            ("e", 9, 0.99),
        )
    ]
    found = Report(rows)
    assert found.frontier() == ["a", "b", "e"]
    assert found.cheapest(0.93) == "b"
    assert found.cheapest(0.999) is None
    assert found.most_accurate(3) == "b"
    assert found.most_accurate(0.5) is None


def test_the_counts_and_the_interval():
    conv = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, groups=3, bias=False))
    assert flops(conv, torch.rand(1, 3, 5, 5)) == 2 * 6 * 9 * 25
    assert parameters(conv) == 54
    assert wilson(50, 100) == pytest.approx((0.40383, 0.59617), abs=1e-5)
    assert wilson(100, 100)[1] == pytest.approx(1.0)
