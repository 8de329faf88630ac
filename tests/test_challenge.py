"""Files that are handed in: what is run, what is refused, and what a memo may say."""

import math

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from scipy import stats

from tinykd.challenge import Refused, answers, distorted, hand_in, inspect, judging, memos
from tinykd.classroom.literal import from_lines, in_lines, read_literal
from tinykd.metrics import paired_verdict

X = torch.rand(7, 1, 28, 28)


def stored(**arrays):
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()]


def in_lines_text(data):
    """The text that an answer cell holds for these bytes."""
    return "".join(read_literal("x", f"x = {in_lines(data)}"))


W = np.random.default_rng(0).normal(size=(784, 10)).astype(np.float32)
FLAT = helper.make_node("Flatten", ["x"], ["flat"])
LAST = helper.make_node("MatMul", ["flat", "w"], ["z"])


def net(*nodes, weights=None, shape=("N", 1, 28, 28), out=("N", 10), opset=18, domains=(), **more):
    """The bytes of a model of these nodes, with the last layer behind them."""
    graph = helper.make_graph(
        [*(nodes or [FLAT, LAST])],
        "g",
        [helper.make_tensor_value_info("x", more.get("kind", TensorProto.FLOAT), shape)],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, out)],
        stored(w=W) if weights is None else weights,
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def test_a_plain_net_is_run_and_says_what_it_computes():
    expected = X.flatten(1) @ torch.from_numpy(W)
    torch.testing.assert_close(answers(net(), X), expected, rtol=1e-4, atol=1e-4)
    assert inspect(net()).graph.name == "g"
    many = torch.rand(230, 1, 28, 28)  # in pieces, the last of them smaller
    torch.testing.assert_close(answers(net(), many)[200:], answers(net(), many[200:]))


def external():
    model = onnx.load_model_from_string(net())
    [w] = model.graph.initializer
    w.data_location = TensorProto.EXTERNAL
    w.external_data.add(key="location", value="../../etc/passwd")
    w.ClearField("raw_data")
    return model.SerializeToString()


def in_attribute():
    tensor = numpy_helper.from_array(W)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/dev/zero")
    tensor.ClearField("raw_data")
    return net(FLAT, helper.make_node("Constant", [], ["w"], value=tensor), LAST, weights=[])


def looping(op="Loop"):
    """For ever: the condition stays true."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]), helper.make_node("Identity", ["a"], ["a2"])],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []),
         helper.make_tensor_value_info("c", TensorProto.BOOL, []),
         helper.make_tensor_value_info("a", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("c2", TensorProto.BOOL, []),
         helper.make_tensor_value_info("a2", TensorProto.FLOAT, None)],
    )  # fmt: skip
    loop = helper.make_node(op, ["n", "yes", "x"], ["y"], body=body)
    flat = helper.make_node("Flatten", ["y"], ["flat"])
    return net(loop, flat, LAST, weights=stored(w=W, n=np.int64(2**62), yes=np.bool_(True)))


def unpacking(op):
    """Small in the file, gigabytes in memory."""
    big = stored(w=W, shape=np.array([100, 100_000, 100], np.int64), one=np.ones((1, 1, 1), "f"))
    made = {
        "Expand": helper.make_node("Expand", ["one", "shape"], ["big"]),
        "Tile": helper.make_node("Tile", ["one", "shape"], ["big"]),
        "ConstantOfShape": helper.make_node("ConstantOfShape", ["shape"], ["big"]),
    }[op]
    total = helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0)
    return net(made, total, FLAT, helper.make_node("MatMul", ["flat", "w"], ["y"]),
               helper.make_node("Add", ["y", "sum"], ["z"]), weights=big)  # fmt: skip


def outer(steps=1, size=2000):
    """Products of a column with a row: each as large as their lengths multiplied."""
    nodes = [helper.make_node("MatMul", ["col", "row"], ["m0"])]
    nodes += [helper.make_node("MatMul", [f"m{n}", "m0"], [f"m{n + 1}"]) for n in range(steps)]
    nodes += [helper.make_node("ReduceSum", [f"m{steps}"], ["sum"], keepdims=0), FLAT,
              helper.make_node("MatMul", ["flat", "w"], ["y"]),
              helper.make_node("Add", ["y", "sum"], ["z"])]  # fmt: skip
    ones = np.ones((size, 1), np.float32)
    return net(*nodes, weights=stored(w=W, col=ones, row=ones.T))


def padded_convolution():
    conv = helper.make_node("Conv", ["x", "k"], ["y"], pads=[9000] * 4)
    mean = helper.make_node("GlobalAveragePool", ["y"], ["m"])
    flat = helper.make_node("Flatten", ["m"], ["z"])
    return net(conv, mean, flat, weights=stored(k=np.ones((10, 1, 3, 3), np.float32)))


def lying_about_size():
    model = onnx.load_model_from_string(net())
    model.graph.initializer[0].dims[:] = [784, 10_000_000]
    return model.SerializeToString()


def with_function():
    model = onnx.load_model_from_string(net())
    model.functions.append(
        helper.make_function("own", "F", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])],
                             [helper.make_opsetid("", 18)])
    )  # fmt: skip
    return model.SerializeToString()


def sparse():
    """A sparse constant, whose numbers lie elsewhere."""
    values = numpy_helper.from_array(np.ones(1, np.float32), "v")
    values.data_location = TensorProto.EXTERNAL
    values.external_data.add(key="location", value="/etc/passwd")
    values.ClearField("raw_data")
    tensor = onnx.SparseTensorProto(dims=[10])
    tensor.values.CopyFrom(values)
    tensor.indices.CopyFrom(numpy_helper.from_array(np.array([0]), "i"))
    return net(FLAT, helper.make_node("MatMul", ["flat", "w"], ["y"]),
               helper.make_node("Constant", [], ["c"], sparse_value=tensor),
               helper.make_node("Add", ["y", "c"], ["z"]))  # fmt: skip


def own_node(domain, op="Relu"):
    first = helper.make_node(op, ["x"], ["r"], domain=domain)
    flat = helper.make_node("Flatten", ["r"], ["flat"])
    return net(first, flat, LAST, domains=[domain] if domain else [])


def ending(op, **how):
    return net(FLAT, helper.make_node("MatMul", ["flat", "w"], ["y"]),
               helper.make_node(op, ["y"], ["z"], **how))  # fmt: skip


def reading(times=220):
    """Each mean reads 4 million numbers and makes one: little is made, and much is done."""
    means = [f"m{n}" for n in range(times)]
    nodes = [FLAT, helper.make_node("MatMul", ["flat", "wide"], ["big"])]
    nodes += [helper.make_node("ReduceMean", ["big"], [name]) for name in means]
    nodes += [helper.make_node("Concat", means, ["all"], axis=1),
              helper.make_node("ReduceMean", ["all"], ["mean"]),
              helper.make_node("MatMul", ["flat", "w"], ["y"]),
              helper.make_node("Add", ["y", "mean"], ["z"])]  # fmt: skip
    return net(*nodes, weights=stored(w=W, wide=np.zeros((784, 40_000), np.float32)))


REFUSED = {
    "no ONNX": (b"hello", "not an ONNX file"),
    "empty": (b"", "opset|input|not an ONNX"),
    "cut off": (net()[:-100], "ONNX"),
    "numbers in another file": (external(), "another file"),
    "numbers of a constant in another file": (in_attribute(), "another file"),
    "sparse constant": (sparse(), "sparse tensor"),
    "loop": (looping(), "operation Loop"),
    "subgraph in a harmless operation": (looping("Where"), "graph inside"),
    "expand": (unpacking("Expand"), "operation Expand"),
    "tile": (unpacking("Tile"), "operation Tile"),
    "constant of a shape": (unpacking("ConstantOfShape"), "operation ConstantOfShape"),
    "outer product": (outer(0, 4000), "make it smaller"),
    "products of products": (outer(20, 1500), "make it smaller"),
    "padding": (padded_convolution(), "make it smaller"),
    "size that is not there": (lying_about_size(), "larger than the file"),
    "function": (with_function(), "functions"),
    "other domain": (own_node("com.microsoft"), "com.microsoft"),
    "own operation": (own_node("", "Steal"), "operation Steal"),
    "random numbers": (ending("RandomNormalLike"), "RandomNormalLike"),
    "scale of the whole batch": (ending("DynamicQuantizeLinear"), "DynamicQuantizeLinear"),
    "sums of much, many times": (reading(), "make it smaller"),
    "old opset": (net(opset=9), "opset"),
    "future opset": (net(opset=99), "opset"),
    "fixed batch": (net(shape=(7, 1, 28, 28)), "fixed batch"),
    "fixed batch of the output": (net(out=(7, 10)), "fixed batch"),
    "other input": (net(shape=("N", 784)), r"\(N, 784\)"),
    "other output": (net(out=("N", 11)), r"\(N, 11\)"),
    "whole numbers": (net(kind=TensorProto.INT64), "type float32"),
    "many nodes": (net(*[FLAT] * 400, LAST), "401 operations"),
    "text in a name": (own_node("", "a\n\x1b[31m" + "b" * 5000), "operation a"),
}


@pytest.mark.parametrize(("data", "words"), REFUSED.values(), ids=REFUSED)
def test_a_file_that_is_refused_is_never_run(data, words, monkeypatch):
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: pytest.fail("run"))
    with pytest.raises(Refused, match=words) as refused:
        answers(data, X)
    assert len(str(refused.value)) < 250
    assert "\n" not in str(refused.value)


def test_what_is_not_finite_or_of_another_size_is_refused():
    with pytest.raises(Refused, match="not finite"):
        answers(ending("Log"), X)
    cut = helper.make_node("Slice", ["y", "zero", "five", "one"], ["z"])
    numbers = stored(w=W, zero=np.array([0]), five=np.array([5]), one=np.array([1]))
    with pytest.raises(Refused):
        answers(
            net(FLAT, helper.make_node("MatMul", ["flat", "w"], ["y"]), cut, weights=numbers), X
        )


def test_the_cause_of_an_error_is_not_cut_off():
    """A table of five words, asked for the tenth: the words that help stand at the end."""
    look_up = helper.make_node("Gather", ["w", "x"], ["rows"], name="a long name " * 9)
    total = helper.make_node("ReduceSum", ["rows", "one"], ["z"], keepdims=0)
    data = net(
        look_up, total, weights=stored(w=W[:5, :1], one=np.array([1])), shape=("N", 40),
        out=("N", 1), kind=TensorProto.INT64,
    )  # fmt: skip
    assert "must be within" in judging.opens(in_lines_text(data), torch.full((3, 40), 9), 1)


# Ways to look at the other inputs of a batch, or at chance, behind logits "y" (N, 10).
CROWDS = {
    "minus the batch's mean": [helper.make_node("ReduceMean", ["y", "first"], ["m"]),
                               helper.make_node("Sub", ["y", "m"], ["z"])],
    "mean and spread of the batch": [
        helper.make_node("BatchNormalization", ["y", "ones", "zeros", "zeros", "ones"],
                         ["z", "mean", "var"], training_mode=1)],
    "softmax over the batch": [helper.make_node("Softmax", ["y"], ["z"], axis=0)],
    "the first one's answer for all": [
        helper.make_node("Gather", ["y", "first"], ["top"], axis=0),
        helper.make_node("Mul", ["y", "none"], ["zero"]),
        helper.make_node("Add", ["zero", "top"], ["z"])],
    "how many there are": [
        helper.make_node("Shape", ["y"], ["s"], start=0, end=1),
        helper.make_node("Cast", ["s"], ["n"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["y", "n"], ["z"])],
    "dropout in training": [
        helper.make_node("Dropout", ["y", "half", "yes"], ["z"])],
}  # fmt: skip
MORE = {"first": np.array([0]), "ones": np.ones(10, np.float32), "zeros": np.zeros(10, np.float32),
        "none": np.float32(0), "half": np.float32(0.5), "yes": np.bool_(True)}  # fmt: skip


def among_others(nodes):
    used = {name for node in nodes for name in node.input}
    more = {name: value for name, value in MORE.items() if name in used}
    return net(FLAT, helper.make_node("MatMul", ["flat", "w"], ["y"]), *nodes,
               weights=stored(w=W, **more))  # fmt: skip


@pytest.mark.parametrize("nodes", CROWDS.values(), ids=CROWDS)
@pytest.mark.parametrize("count", [7, 230])
def test_an_answer_that_depends_on_the_batch_or_on_chance_earns_nothing(nodes, count):
    text = "".join(read_literal("x", f"x = {in_lines(among_others(nodes))}"))
    x = torch.rand(count, 1, 28, 28)
    labels = answers(net(), x).argmax(1)  # what it would say of each alone, in most of these
    for said in (
        judging.opens(text, x),
        judging.size(text, 40_000, x),
        judging.reaches(text, 40_000, x, labels, 0.0),
    ):
        assert "may not depend on the rest of a batch" in said
    assert judging.share_right(text, 40_000, x, labels) == 0


def test_a_file_that_says_the_same_of_every_input_earns_nothing():
    data = net(FLAT, LAST, weights=stored(w=np.zeros((784, 10), np.float32)))
    text = "".join(read_literal("x", f"x = {in_lines(data)}"))
    truth = torch.zeros(7, dtype=torch.int64)  # equal logits: the first class
    for said in (judging.opens(text, X), judging.size(text, 40_000, X),
                 judging.reaches(text, 40_000, X, truth, 0.6)):  # fmt: skip
        assert said == "it says the same of every input"
    assert judging.share_right(text, 40_000, X, truth) == 0


def test_sums_in_another_order_are_no_dependence():
    """Rounding to 8 bits, where a sum that is off by 1e-7 can turn over; and logits of any size."""
    step = np.float32(0.05)
    round_ = helper.make_node("QuantizeLinear", ["y", "step", "zero"], ["q"])
    back = helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["z"])
    nodes = [FLAT, helper.make_node("MatMul", ["flat", "w"], ["y"]), round_, back]
    for size in (1e-4, 1.0, 1e4):
        weights = stored(w=(size * W).astype(np.float32), step=step * np.float32(size),
                         zero=np.int8(0))  # fmt: skip
        x = torch.rand(230, 1, 28, 28)
        found = answers(net(*nodes, weights=weights), x)
        real = (x.flatten(1).double() @ torch.from_numpy(size * W).double()).float()
        whole = (real / (size * step)).round().clamp(-128, 127) * (size * step)
        off = (found - whole).abs() > 1e-3 * size
        assert off.float().mean() < 0.01


def test_words_of_a_check():
    text = in_lines_text(net())
    labels = answers(net(), X).argmax(1)
    assert judging.size(text, 40_000, X) == judging.FITS
    assert "more than 10,000" in judging.size(text, 10_000, X)
    assert "asked for" in judging.size(text, 40_000, X[:, :, 1:])
    assert judging.opens(text, X) == judging.OPENS
    assert "ONNX" in judging.opens(text[:1000], X)
    assert judging.share_right(text, 40_000, X, labels) == 1.0
    assert judging.share_right(text, 10_000, X, labels) == 0.0
    assert judging.reaches(text, 40_000, X, labels, 0.9) == "at least 90% right"
    assert judging.reaches(text, 40_000, X, (labels + 1) % 10, 0.9) == "0.0%, below 90%"
    assert judging.reaches(text, 40_000, X, labels, 0.975) == "at least 97.5% right"
    assert "more than" in judging.reaches(text, 10_000, X, labels, 0.9)
    for nonsense in (3, [], {"a": 1}, "ä", ""):
        assert judging.size(nonsense, 9, X) != judging.FITS
        assert judging.opens(nonsense, X) != judging.OPENS
        assert judging.reaches(nonsense, 9, X, labels, 0.0) != "at least 0% right"


def test_the_cell_that_is_handed_in_holds_the_file(tmp_path, capsys):
    (tmp_path / "net.onnx").write_bytes(net())
    path = hand_in("digit_student", tmp_path / "net.onnx", tmp_path)
    assert from_lines(read_literal("digit_student", path.read_text())) == net()
    assert "%load" in capsys.readouterr().out


def memo(**changed):
    student, against = [0.91, 0.92, 0.905], [0.90, 0.905, 0.90]
    mean, half, verdict = paired_verdict(student, against, 0.005)
    whole = {
        "question": "Is a student with a teacher better at 10 kB?",
        "prediction": "I expect the teacher to help by a point, because it is sure.",
        "same_budget": "Both had the same digits, steps, rate, size of file and seeds.",
        "baseline": "labels alone, no teacher",
        "seeds": [0, 1, 2],
        "student": student,
        "against": against,
        "margin": 0.005,
        "gain": [round(mean - half, 4), round(mean + half, 4)],
        "verdict": verdict,
    }
    return whole | changed


ALL = (memos.form, memos.seeds, memos.interval, memos.conclusion)


def said(memo):
    return [judge(memo) == memos.HONEST for judge in ALL]


def test_a_memo_is_held_against_its_own_numbers():
    assert said(memo()) == [True] * 4
    mean, half, _ = paired_verdict(memo()["student"], memo()["against"])
    assert said(memo(gain=[mean - half, mean + half])) == [True] * 4
    assert said(memo(verdict="better")) == [True, True, True, False]
    assert said(memo(gain=[mean - half / 2, mean + half / 2])) == [True, True, False, True]
    assert said(memo(seeds=[0, 0, 1])) == [True, False, False, False]
    assert said(memo(prediction="it helps")) == [False, True, True, True]
    assert said(memo(question="It helps, does it not, in every case."))[0] is False
    assert memos.agrees(memo(), 0.9) == memos.HONEST
    assert memos.agrees(memo(), 0.8) != memos.HONEST


def test_words_that_fill_a_memo_up_do_not_count():
    assert memos.form(memo(baseline="x x x")) == ("baseline has 0 different words; at least 3")
    assert memos.form(memo(prediction="better " * 20)) != memos.HONEST
    assert memos.form(memo(baseline="labels, no teacher")) == memos.HONEST
    assert memos.form(memo(baseline="étiquettes sans maître")) == memos.HONEST
    assert memos.form(memo(baseline="只有标签，没有教师")) == memos.HONEST


def test_a_seed_is_a_whole_number():
    assert memos.seeds(memo(seeds=[0.0, 1.0, 2.0])) == "seeds are whole numbers"
    assert memos.seeds(memo(seeds=[True, 2, 3])) != memos.HONEST


def test_runs_that_do_not_differ_are_no_runs():
    assert "one share for all seeds" in memos.seeds(memo(student=[0.9, 0.9, 0.9]))
    assert "the same numbers" in memos.seeds(memo(against=memo()["student"]))


def test_a_margin_is_a_share():
    for margin in (5, 1.0, -0.1, math.nan, "0.01"):
        assert "margin is a share" in memos.form(memo(margin=margin))
        assert "margin is a share" in memos.conclusion(memo(margin=margin))


def test_a_wrong_interval_is_called_by_its_name():
    """Against NumPy and SciPy: each of the usual mistakes with the words for it."""
    student, against = [0.913, 0.921, 0.904, 0.917], [0.902, 0.905, 0.899, 0.909]
    a, b = np.array(student), np.array(against)
    d, t = a - b, stats.t.ppf(0.975, 3)
    mean, s = d.mean(), d.std(ddof=1)
    half = t * s / 2
    unpaired = t * np.sqrt(a.var(ddof=1) / 4 + b.var(ddof=1) / 4)
    found = {
        "as it should be": (mean - half, mean + half),
        "upper end first": (mean + half, mean - half),
        "against - student": (-mean - half, -mean + half),
        "in percent": (100 * (mean - half), 100 * (mean + half)),
        "half the width": (mean, half),
        "spread of single seeds": (mean - s, mean + s),
        "takes 1.96": (mean - 0.98 * s, mean + 0.98 * s),
        "two arms' intervals": (mean - unpaired, mean + unpaired),
        "rounded": (round(mean - half, 2), round(mean + half, 2)),
        "not the interval": (0.001, 0.2),
    }
    for words, gain in found.items():
        own = memo(student=student, against=against, seeds=[1, 2, 3, 4], gain=[*map(float, gain)])
        assert words in memos.interval(own)


@pytest.mark.parametrize(
    "nonsense",
    [None, 3, "text", [], {}, memo(student="abc"), memo(student=[1, 2, 3]), memo(gain=None),
     memo(student=[True, True, True]), memo(against=[0.9] * 4), memo(margin="0"), memo(margin=-1),
     memo(seeds={}), memo(gain=[0.1, "x"]), memo(verdict=["better"]), memo(question=None)],
)  # fmt: skip
def test_nonsense_for_a_memo_gets_words_and_no_error(nonsense):
    assert not all(said(nonsense))
    assert all(isinstance(judge(nonsense), str) for judge in ALL)
    assert isinstance(memos.agrees(nonsense, 0.9), str)


def test_digits_are_distorted_as_the_formula_says():
    """Against one pixel at a time, in float64."""
    image = torch.rand(3, 9, 9)
    found = distorted(image, np.random.default_rng(5), degrees=30, zoom=0.3, pixels=1.5)
    rng = np.random.default_rng(5)
    angle = np.deg2rad(rng.uniform(-30, 30, 3))
    scale = rng.uniform(0.7, 1.3, 3)
    move = rng.uniform(-1.5, 1.5, (2, 3))
    for n in range(3):
        for row in range(9):
            for column in range(9):
                x, y = column - 4, row - 4
                c, s = math.cos(angle[n]) / scale[n], math.sin(angle[n]) / scale[n]
                u, v = c * x - s * y + move[0, n] + 4, s * x + c * y + move[1, n] + 4
                ink = 0.0
                for i in (math.floor(v), math.floor(v) + 1):
                    for j in (math.floor(u), math.floor(u) + 1):
                        if 0 <= i < 9 and 0 <= j < 9:
                            ink += (1 - abs(v - i)) * (1 - abs(u - j)) * float(image[n, i, j])
                assert found[n, 0, row, column].item() == pytest.approx(ink, abs=1e-4)
    with pytest.raises(ValueError, match=r"\(N, H, H\)"):
        distorted(torch.rand(3, 9, 8), rng)
    with pytest.raises(ValueError, match="zoom"):
        distorted(image, rng, zoom=1.0)
