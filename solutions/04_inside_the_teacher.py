# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 · Inside the teacher
#
# **What you will be able to do**
# - read any layer of any network with a hook, and leave nothing behind;
# - say what a layer knows (a linear probe) and how alike two layers are (CKA);
# - write three losses on activations: FitNets' hint, attention transfer, relational distances, and say what each one needs student and teacher to have in common;
# - train a thin, deep student that labels alone cannot start, and say what else would have started it;
# - choose between plain soft targets, hints, relations and Jacobians by numbers: how much of the teacher's knowledge moved, and what it cost.
#
# | | |
# |---|---|
# | Difficulty | 3 of 5: four functions of three to ten lines, and a training loop |
# | Importance | 4 of 5: half of the field's papers are about this question |
# | Time | an hour and a half of yours; 1½ to 3 minutes of computing on 2 cores |
# | Needs | lessons 00 to 02 |

# %% role="setup" name="setup"
import json
import textwrap
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import tinykd
from tinykd import (
    MLP,
    Batches,
    Capture,
    ConvNet,
    HardLabels,
    Hint,
    SoftTargets,
    Trainer,
    accuracy,
    cka,
    features,
    linear_probe,
    load_mnist,
    load_mnist1d,
    mean_interval,
    predict,
)
from tinykd import plots
from tinykd.classroom import Checks, with_gradient
from tinykd.plots import COLORS

check = Checks("04_inside_the_teacher")


# %% role="setup" name="specimens"
# What the checks below are fed with. You need not read it.
def draw(rng, *shape, size=1.0):
    """Random numbers in float64, normal with standard deviation `size`, that have a gradient."""
    return torch.tensor(rng.normal(scale=size, size=shape), requires_grad=True)


def own_weights(rng, net):
    """The same net in float64, its weights drawn from rng."""
    net = net.double()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.tensor(rng.normal(scale=0.6, size=tuple(p.shape))))
    return net


def nested_net(rng, inputs=4):
    """Layers inside layers: "stem", "body.0", "body.1", "body.2.inner", "head"."""
    inner = nn.Sequential()
    inner.add_module("inner", nn.Linear(5, 6))
    net = nn.Sequential()
    net.add_module("stem", nn.Linear(inputs, 5))
    net.add_module("body", nn.Sequential(nn.Tanh(), nn.Linear(5, 5), inner))
    net.add_module("head", nn.Linear(6, 3))
    return own_weights(rng, net)


def hooks_on(model):
    """How many hooks there are, on all layers together."""
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def hint_class(rng, width=4, wide=6, batches=4):
    """A student, a teacher with dropout in train mode, a regressor, batches, an optimizer."""
    student = own_weights(rng, MLP(5, width, width, 3))
    teacher = own_weights(rng, MLP(5, wide, wide, 3, dropout=0.5))
    regressor = own_weights(rng, nn.Linear(width, wide))
    data = [torch.tensor(rng.normal(size=(7, 5))) for _ in range(batches)]
    parameters = [*student.parameters(), *regressor.parameters()]
    return student, teacher, regressor, data, torch.optim.SGD(parameters, 0.05, momentum=0.5)


def related(rng, count, width, wide):
    """Activations of student and teacher that agree by and large, so that no gap is above 1."""
    base = rng.normal(size=(count, max(width, wide)))
    sides = (base[:, :n] + 0.3 * rng.normal(size=(count, n)) for n in (width, wide))
    return [torch.tensor(side, requires_grad=True) for side in sides]


def everything(*modules):
    """All parameters, one after the other."""
    return torch.cat([p.detach().flatten() for m in modules for p in m.parameters()])


# %% [markdown]
# ## A teacher is more than ten numbers
#
# So far the teacher has spoken with its last layer alone: ten logits for each digit. But on the way there it has computed hundreds of numbers.
# Romero and others asked in 2014 (*FitNets*, arXiv 1412.6550) whether a student should not learn from those as well, and a stream of papers followed:
# match the activations, match where they look, match which samples they hold alike. In this lesson you look inside, build the main ways to match what is there,
# and measure each against the two rivals that it has to beat: labels alone, and plain soft targets, with the same number of steps.
#
# MNIST leaves no room for that: almost any student gets 97%. We take **MNIST-1D** (Greydanus and Kobak, arXiv 2011.14439): ten shapes drawn along a line of 40 numbers,
# moved, stretched, sheared and covered with noise. A convolutional teacher learns it from 4,000 signals. Our student is a net of a sixteenth of its size that
# has 300 labelled signals and no more. Here are some signals, and the teacher (about 15 seconds).

# %% role="show" name="teacher"
scale = tinykd.scale()
steps = {"smoke": 30, "default": 600, "full": 600}[scale]
TEACHER, STUDENT = (32, 64, 128), (8, 16, 32)  # channels of the three blocks


def train(net, objective, signals, labels, teacher=None, size=50, steps=steps, seed=0):
    """Adam at 0.01 with a cosine to 0; returns the seconds it took."""
    start = time.perf_counter()
    batches = Batches(signals, labels, size=size, seed=seed)
    Trainer(
        net,
        objective,
        teacher=teacher,
        optimizer=lambda parameters: torch.optim.Adam(parameters, 0.01),
        schedule=tinykd.cosine(1, 0),
        device="cpu",
        progress=False,
    ).fit(batches, epochs=max(1, steps // len(batches)))
    return time.perf_counter() - start


world = load_mnist1d(4_000, seed=0)  # what the teacher learns from
signals, labels = load_mnist1d(300, seed=2)  # all that the student has
seen, truth = load_mnist1d(2_000, seed=3)  # to look at layers with
test_signals, test_labels = load_mnist1d(5_000, seed=1)

torch.manual_seed(0)
teacher = ConvNet(1, *TEACHER, 10, dims=1)
seconds = train(teacher, HardLabels(), *world, size=100, steps=max(steps, 40) * 5 // 3)
teacher_logits = predict(teacher, test_signals)
share = accuracy(teacher_logits, test_labels)
print(f"The teacher gets {share:.1%} of 5,000 test signals right ({seconds:.0f} s).")


# %% role="show" name="signals" folded=true
figure, grid = plt.subplots(2, 5, figsize=(11, 3), layout="constrained", sharey=True)
for digit, axes in enumerate(grid.flat):
    for place, alpha in zip(torch.where(test_labels == digit)[0][:3], (1.0, 0.5, 0.3), strict=True):
        axes.plot(test_signals[place], color=COLORS[0], alpha=alpha, linewidth=1.5)
    axes.set_title(f"class {digit}", fontsize=9)
    axes.set(xticks=[], yticks=[])
    axes.spines[["top", "right"]].set_visible(False)
plots.show(
    "Three signals of each of the ten classes, lines of 40 numbers: in a class the same shape "
    "at different places and heights, surrounded by noise."
)

# %% [markdown]
# ## Looking inside: hooks
#
# A `ConvNet` has three blocks and a linear layer, and each has a dotted name: `blocks.0`, `blocks.1`, `blocks.2`, `head`. PyTorch lets you listen to any of them:
#
# ```python
# def keep(layer, inputs, output):      # called after each forward of that layer
#     print(output.shape)
#
# handle = model.get_submodule("blocks.1").register_forward_hook(keep)
# model(x)                              # keep is called
# handle.remove()                       # from here on it is not
# ```
#
# Two things go wrong with hooks in practice. One that is not removed stays for the life of the model: it keeps activations alive, listens to validation as
# well, and is doubled when the cell is run again. And one that is removed in the last line stays if the line before it fails. `try: ... finally: ...`
# runs its last part in either case. What a hook returns replaces the layer's output; return nothing.
#
# ### Exercise 1: read any layer
# <details><summary>Hint: one function for many layers</summary>
#
# A function defined in a loop sees the loop's variable as it is when the function *runs*: after the loop, the last name. Make the hook in a function of
# its own, `def keeper(name): ... return keep`, and `name` is that of the call. Collect the handles in a list.
# </details>


# %% role="answer" name="activations" library="tinykd.Capture"
def activations(model, layers, x):
    """Outputs of the named layers when the model is called with x: {name: output}.

    model: a module. layers: a list of dotted names, as model.get_submodule takes them. The outputs keep their graph, so that a loss on them
    reaches the weights. No hook stays behind, not even where the model raises an error; the error goes on to the caller.
    """
    # YOUR CODE: a hook for each name, one call of the model, and every hook removed whatever happens
    # BEGIN SOLUTION
    found, handles = {}, []

    def keeper(name):
        def keep(layer, inputs, output):
            found[name] = output

        return keep

    try:
        for name in layers:
            layer = model.get_submodule(name)
            handles.append(layer.register_forward_hook(keeper(name)))
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return found
    # END SOLUTION


# %% role="check" name="activations.values" points=1 hint="The output of each layer under its own name, dotted names included. Where one name holds another's output, look at the loop: a function made in it sees the loop's variable as it is later."
rng = check.rng("activations.values")
net, x = nested_net(rng), draw(rng, 6, 4)
check("activations.values", check.call(activations, net, ["stem", "body.2.inner", "head"], x))

# %% role="check" name="activations.graph" points=1 hint="A loss on an activation must reach the inputs and the weights: no detach(), no torch.no_grad()."
rng = check.rng("activations.graph")
net, x = nested_net(rng), draw(rng, 6, 4)
found = check.call(activations, net, ["body.1"], x)
check("activations.graph", with_gradient(found["body.1"], x, net.stem.weight))

# %% role="check" name="activations.clean" points=1 hint="Count the hooks afterwards: of yours none may be left, neither after a good call nor after one that fails, at the model or at a name (finally:). A hook of somebody else stays, and sees the model called once."
rng = check.rng("activations.clean")
net, x = nested_net(rng), draw(rng, 6, 4)
calls = []
net.head.register_forward_hook(lambda *given: calls.append(1))  # somebody else's
last = check.call(activations, net, ["body.0", "body.2"], x, may_change=[net])["body.2"]
left = {"outputs": last, "hooks of others": hooks_on(net), "calls of the model": len(calls)}
net = nested_net(rng)
try:
    check.call(activations, net, ["stem", "nowhere"], x, may_change=[net])
except (AttributeError, KeyError):
    left["hooks after an unknown name"] = hooks_on(net)
net = nested_net(rng)
try:
    check.call(activations, net, ["stem", "body.0"], x[:, :3], may_change=[net])
    left["the error of a wrong shape"] = "gone"
except RuntimeError:
    left["the error of a wrong shape"] = "went on to the caller"
left["hooks after an error"] = hooks_on(net)
check("activations.clean", left)

# %% role="hidden" name="activations.secret" points=1 hint="Another net, other names, in another order than they run."
rng = check.rng("activations.secret")
net, x = own_weights(rng, MLP(3, 5, 4, 6, 2)), draw(rng, 5, 3)
found = check.call(activations, net, ["layers.2", "layers.0", "layers.3"], x, may_change=[net])
values = [found["layers.2"].detach(), found["layers.0"].detach()]
check("activations.secret", [hooks_on(net), values, with_gradient(found["layers.3"], x)])


# %% role="mutant" of="activations" name="activations.one_by_one" loses="activations.clean" hint="You call the model once for each layer: one call runs through all of them."
def activations(model, layers, x):
    found = {}
    for name in layers:
        keep = lambda layer, inputs, output, name=name: found.__setitem__(name, output)
        handle = model.get_submodule(name).register_forward_hook(keep)
        try:
            model(x)
        finally:
            handle.remove()
    return found


# %% role="mutant" of="activations" name="activations.clears_all" loses="activations.clean" hint="You cleared every hook of the model, also those of others. Keep the handles that register_forward_hook returns, and remove these."
def activations(model, layers, x):
    found = {}
    try:
        for name in layers:
            keep = lambda layer, inputs, output, name=name: found.__setitem__(name, output)
            model.get_submodule(name).register_forward_hook(keep)
        model(x)
    finally:
        for module in model.modules():
            module._forward_hooks.clear()
    return found


# %% role="mutant" of="activations" name="activations.before_try" loses="activations.clean" hint="An unknown name raises its error before `try:`, and the hooks that were registered by then stay. Register them inside."
def activations(model, layers, x):
    found, handles = {}, []
    for name in layers:
        keep = lambda layer, inputs, output, name=name: found.__setitem__(name, output)
        handles.append(model.get_submodule(name).register_forward_hook(keep))
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return found


# %% role="mutant" of="activations" name="activations.last_name" loses="activations.values, activations.clean, activations.secret" hint="All outputs landed under one name: a function made in a loop sees the loop's variable as it is later. Make each hook in a function of its own."
def activations(model, layers, x):
    found, handles = {}, []
    for name in layers:
        handles.append(
            model.get_submodule(name).register_forward_hook(
                lambda layer, inputs, output: found.update({name: output})
            )
        )
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return dict.fromkeys(layers, found[layers[-1]])


# %% role="mutant" of="activations" name="activations.stays" loses="activations.values, activations.graph, activations.clean, activations.secret" hint="The hooks stay on the model. Keep each handle and call handle.remove()."
def activations(model, layers, x):
    found = {}

    def keeper(name):
        return lambda layer, inputs, output: found.__setitem__(name, output)

    for name in layers:
        model.get_submodule(name).register_forward_hook(keeper(name))
    model(x)
    return found


# %% role="mutant" of="activations" name="activations.no_finally" loses="activations.clean" hint="Where the model fails, your removal never runs and the hooks stay. Remove them under finally:."
def activations(model, layers, x):
    found = {}

    def keeper(name):
        return lambda layer, inputs, output: found.__setitem__(name, output)

    handles = [model.get_submodule(name).register_forward_hook(keeper(name)) for name in layers]
    model(x)
    for handle in handles:
        handle.remove()
    return found


# %% role="mutant" of="activations" name="activations.swallowed" loses="activations.clean" hint="The error of the model is swallowed. Who called you would go on with half a dictionary: use finally, not except."
def activations(model, layers, x):
    found = {}

    def keeper(name):
        return lambda layer, inputs, output: found.__setitem__(name, output)

    handles = [model.get_submodule(name).register_forward_hook(keeper(name)) for name in layers]
    try:
        model(x)
    except Exception:
        pass
    for handle in handles:
        handle.remove()
    return found


# %% role="mutant" of="activations" name="activations.detached" loses="activations.graph, activations.secret" hint="The graph is cut: a loss on these activations could not train anything. No detach(), no torch.no_grad()."
def activations(model, layers, x):
    with torch.no_grad(), Capture(model, layers) as acts:
        model(x)
        return {name: acts[name] for name in layers}


# %% role="mutant" of="activations" name="activations.inputs" loses="activations.values, activations.graph, activations.clean, activations.secret" hint="That is what went into the layer. A forward hook gets (layer, inputs, output): keep the output."
def activations(model, layers, x):
    found, handles = {}, []

    def keeper(name):
        def keep(layer, inputs, output):
            found[name] = inputs[0]

        return keep

    try:
        for name in layers:
            layer = model.get_submodule(name)
            handles.append(layer.register_forward_hook(keeper(name)))
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return found


# %% role="mutant" of="activations" name="activations.result" loses="activations.values, activations.graph, activations.clean, activations.secret" hint="You kept what the whole model returns, under every name. The hook of a layer gets that layer's own output."
def activations(model, layers, x):
    with Capture(model, layers):
        y = model(x)
    return dict.fromkeys(layers, y)


# %% role="alternative" of="activations" name="activations.library"
def activations(model, layers, x):
    with Capture(model, layers) as acts:
        model(x)
        return {name: acts[name] for name in layers}


# %% role="alternative" of="activations" name="activations.partial"
def activations(model, layers, x):
    from contextlib import ExitStack
    from functools import partial

    def keep(name, layer, inputs, output):
        found[name] = output

    found = {}
    with ExitStack() as stack:
        for name in layers:
            handle = model.get_submodule(name).register_forward_hook(partial(keep, name))
            stack.callback(handle.remove)
        model(x)
    return found


# %% [markdown]
# From here on we use `tinykd.Capture`, which is your function as a `with` block: `with Capture(model, ["blocks.1"]) as acts:`. What the blocks of our teacher give has the
# shape (B, C, places): 32 channels at 20 places, 64 at 10, 128 at 5. The first picture reduces the channels to one number a place, $\sum_c F_c^2$: how much goes on there.
# Zagoruyko and Komodakis (arXiv 1612.03928) call it an **attention map**. Each strip is scaled to length 1, so compare places within a strip, not brightness between strips.
# The four signals are ones that the teacher is more than 99% sure of.

# %% role="show" name="attention_maps" folded=true
names = [f"blocks.{n}" for n in range(3)]
sure = tinykd.softmax(teacher_logits).max(1).values
chosen = [
    int(torch.where((test_labels == digit) & (sure > 0.99))[0][:1].sum()) for digit in (2, 4, 7, 8)
]
with torch.no_grad(), Capture(teacher.eval(), names) as acts:
    teacher(test_signals[chosen])
    maps = [features.attention_map(acts[name]) for name in names]
figure, grid = plt.subplots(
    4, 4, figsize=(11, 4), height_ratios=(4, 1, 1, 1), layout="constrained", sharex=True
)
for column, place in enumerate(chosen):
    grid[0, column].plot(np.arange(40) + 0.5, test_signals[place], color=COLORS[0])
    grid[0, column].set_title(f"class {int(test_labels[place])}", fontsize=10)
    for row, found in enumerate(maps, 1):
        strip = found[column].numpy()[None]
        grid[row, column].imshow(
            strip, aspect="auto", cmap="cividis", extent=(0, 40, 0, 1), vmin=0, vmax=1
        )
        grid[row, 0].set_ylabel(f"block {row - 1}", rotation=0, ha="right", va="center")
for axes in grid.flat:
    axes.set(xticks=[], yticks=[])
    axes.spines[["top", "right"]].set_visible(False)
plots.show(
    "Four signals with the attention maps of the teacher's three blocks under them as strips, "
    "bright where the activations are large."
)

# %% [markdown]
# The strips of block 0 are bright at the steep edges of the curve; those of block 2 have five wide places and
# point at where the shape is, whatever noise stands beside it.
#
# ## What does a layer know? A linear probe
#
# A **linear probe** (Alain and Bengio, arXiv 1610.01644) asks how much of the answer can be read off a layer with a ruler: freeze the net, take the activations
# of a layer as inputs, and train a linear classifier on them. Its accuracy says what is *linearly* there, and nothing about whether the net uses it.
#
# Three students to compare, all of the same shape, with the same start, the same 300 signals and the same 600 steps: one learns from labels, one from the teacher's soft targets
# at $T = 4$, one from labels and hints, which come in a moment. A fourth was never trained. **What do you expect?** Does the accuracy of the probe rise from block to
# block in all of them? Even in the net that was never trained? And which student will hold the most in its last block?


# %% role="show" name="students_and_probes"
def new_student(seed=0):
    torch.manual_seed(seed)
    return ConvNet(1, *STUDENT, 10, dims=1)


def three_hints(weight=3.0):
    """A hint at each block, through a convolution of width 1 that widens the student's."""
    widen = [nn.Conv1d(a, b, 1) for a, b in zip(STUDENT, TEACHER, strict=True)]
    return weight * Hint(names, names, widen)


students = {"never trained": new_student()}
for name, objective in {
    "labels": lambda: HardLabels(),
    "soft targets": lambda: SoftTargets(T=4),
    "hints": lambda: HardLabels() + three_hints(),
}.items():
    students[name] = new_student()
    seconds = train(students[name], objective(), signals, labels, teacher)
    right = accuracy(predict(students[name], test_signals), test_labels)
    print(f"{name:14s} {right:.1%} of the test signals right, {seconds:.0f} s")


def layers_of(net, x):
    """Activations of the three blocks, eval mode, flattened."""
    with torch.no_grad(), Capture(net.eval(), names) as acts:
        net(x)
        return [acts[name].flatten(1) for name in names]


half = 300 if scale == "smoke" else 1_000
fit, unseen = truth[:half], truth[half : 2 * half]
inputs = linear_probe((seen[:half], fit), (seen[half : 2 * half], unseen))
axes = plt.subplots(figsize=(6.5, 3.6), layout="constrained")[1]
kinds = {"teacher": teacher, **{k: students[k] for k in ("hints", "soft targets", "labels")}}
kinds["never trained"] = students["never trained"]
print(f"{'probe of':14s} " + " ".join(f"{name:>8s}" for name in ["inputs", *names]))
for number, (name, net) in enumerate(kinds.items()):
    found = [
        linear_probe((x[:half], fit), (x[half : 2 * half], unseen))
        for x in layers_of(net, seen[: 2 * half])
    ]
    print(f"{name:14s} " + " ".join(f"{100 * x:7.1f}%" for x in [inputs, *found]))
    axes.plot([inputs, *found], "o-", color=COLORS[number], label=name)
axes.set(xticks=range(4), ylabel="accuracy of a linear probe", ylim=(0, 1))
axes.set_xticklabels(["inputs", "block 0", "block 1", "block 2"])
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, fontsize=9)
plots.show(
    "Accuracy of linear probes on the inputs and on blocks 0 to 2 of the teacher, of three "
    "trained students and of one that was never trained."
)

# %% [markdown]
# In every trained net the answer is easier to read from block to block, while a ruler laid on the raw signal reads little. Two details are worth a second look. The net that was *never trained*
# is far above chance: random convolutions with ReLU already spread the signals out, so a probe's accuracy means something only beside such a control. And a probe of a student's last block comes out near what the student itself gets,
# although it was fitted on a thousand labels: what did not arrive in a block, no reading will find there. The difference between the students is made inside.
#
# ## How alike are two layers? CKA
#
# Two layers may hold the same knowledge in other units: turned, scaled, with other widths. Comparing them number by number says nothing. **Centred kernel alignment**
# (Kornblith and others, arXiv 1905.00414) compares which samples each of them holds alike. With activations $X$ of shape $(N, P)$ and $Y$ of shape $(N, Q)$ for the same $N$
# samples, every column's mean subtracted,
#
# $$\mathrm{CKA}(X, Y) = \frac{\lVert X^\top Y \rVert_F^2}{\lVert X^\top X \rVert_F\;\lVert Y^\top Y \rVert_F} \in [0, 1],$$
#
# where $\lVert A\rVert_F^2$ is the sum of the squares of all numbers in $A$. It is 1 where one side is a rotation or a multiple of the other.
#
# ### Exercise 2: linear CKA
# <details><summary>Hint: shapes</summary>
#
# `x - x.mean(0)` subtracts each column's mean. `x.T @ y` is (P, Q). `a.norm()` is the square root of the sum of squares.
# </details>


# %% role="answer" name="linear_cka" library="tinykd.cka, torch.corrcoef"
def linear_cka(x, y):
    """Linear CKA of two layers.

    x: (N, P), y: (N, Q), activations of the same N samples in the same order. Returns a number, a tensor without axes.
    """
    # YOUR CODE: centre the columns, then the formula
    # BEGIN SOLUTION
    x, y = x - x.mean(0), y - y.mean(0)
    return (x.T @ y).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm())
    # END SOLUTION


# %% role="check" name="linear_cka.values" points=1 hint="Squared Frobenius norm of X^T Y above, plain Frobenius norms of X^T X and Y^T Y below, after centring."
rng = check.rng("linear_cka.values")
x = draw(rng, 12, 4).detach() + draw(rng, 4).detach()
mixed = x @ draw(rng, 4, 6).detach() + draw(rng, 12, 6).detach()
check("linear_cka.values", [check.call(linear_cka, x, mixed), check.call(linear_cka, mixed, x)])

# %% role="check" name="linear_cka.shifted" points=1 hint="A constant added to a column changes nothing: centre the columns, not the rows, on both sides."
rng = check.rng("linear_cka.shifted")
x, y = draw(rng, 10, 5).detach(), draw(rng, 10, 3).detach()
x, y = x + draw(rng, 5, size=4).detach(), y + draw(rng, 3, size=4).detach()
check("linear_cka.shifted", check.call(linear_cka, x, y))

# %% role="check" name="linear_cka.turned" points=1 hint="A rotation of all features together, or a factor for all of them, leaves CKA at 1; another factor for each feature does not."
rng = check.rng("linear_cka.turned")
x = draw(rng, 15, 4).detach() + draw(rng, 4, size=2).detach()
turn = torch.linalg.qr(draw(rng, 4, 4).detach())[0]
stretch = torch.tensor(rng.uniform(0.3, 4, size=4))
check(
    "linear_cka.turned",
    [check.call(linear_cka, x, 5 * x @ turn), check.call(linear_cka, x, x * stretch)],
)

# %% role="hidden" name="linear_cka.secret" points=1 hint="More features than samples, other widths, other means."
rng = check.rng("linear_cka.secret")
x = draw(rng, 6, 9).detach() + draw(rng, 9, size=2).detach()
y = draw(rng, 6, 20, size=3).detach() + draw(rng, 20, size=2).detach()
check("linear_cka.secret", check.call(linear_cka, x, y))


# %% role="mutant" of="linear_cka" name="linear_cka.uncentred" loses="linear_cka.values, linear_cka.shifted, linear_cka.turned, linear_cka.secret" hint="The C of CKA is missing: subtract each column's mean first, on both sides."
def linear_cka(x, y):
    return (x.T @ y).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm())


# %% role="mutant" of="linear_cka" name="linear_cka.rows" loses="linear_cka.values, linear_cka.shifted, linear_cka.turned, linear_cka.secret" hint="You centred the rows, one sample each. The mean of a *feature* over the samples is subtracted: mean(0)."
def linear_cka(x, y):
    x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    return (x.T @ y).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm())


# %% role="mutant" of="linear_cka" name="linear_cka.one_mean" loses="linear_cka.values, linear_cka.shifted, linear_cka.turned, linear_cka.secret" hint="You subtracted one mean of all numbers. Every column has its own: mean(0)."
def linear_cka(x, y):
    x, y = x - x.mean(), y - y.mean()
    return (x.T @ y).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm())


# %% role="mutant" of="linear_cka" name="linear_cka.unsquared" loses="linear_cka.values, linear_cka.shifted, linear_cka.turned, linear_cka.secret" hint="The norm above is squared, the two below are not; else a factor on one side would not cancel."
def linear_cka(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return (x.T @ y).norm() / ((x.T @ x).norm() * (y.T @ y).norm())


# %% role="mutant" of="linear_cka" name="linear_cka.squared_below" loses="linear_cka.values, linear_cka.shifted, linear_cka.turned, linear_cka.secret" hint="Below stand the norms, not their squares."
def linear_cka(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return (x.T @ y).square().sum() / ((x.T @ x).square().sum() * (y.T @ y).square().sum())


# %% role="mutant" of="linear_cka" name="linear_cka.lengths" loses="linear_cka.values, linear_cka.shifted, linear_cka.turned, linear_cka.secret" hint="You divided by the norms of X and Y themselves. Below stand the norms of X^T X and Y^T Y."
def linear_cka(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return (x.T @ y).square().sum() / (x.norm() * y.norm()).square()


# %% role="mutant" of="linear_cka" name="linear_cka.in_place" loses="linear_cka.values, linear_cka.shifted, linear_cka.turned, linear_cka.secret" hint="`x -= x.mean(0)` changes the caller's activations. Write x = x - x.mean(0)."
def linear_cka(x, y):
    x -= x.mean(0)
    y -= y.mean(0)
    return (x.T @ y).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm())


# %% role="alternative" of="linear_cka" name="linear_cka.by_samples"
def linear_cka(x, y):
    x, y = x - x.mean(0, keepdim=True), y - y.mean(0, keepdim=True)
    k, m = x @ x.T, y @ y.T
    return (k * m).sum() / torch.sqrt((k * k).sum() * (m * m).sum())


# %% role="alternative" of="linear_cka" name="linear_cka.library"
def linear_cka(x, y):
    return cka(x, y)


# %% [markdown]
# The next figure has a row for each block of a student and a column for each block of the teacher. **What do you expect?** Will equal depths be most alike, along the
# diagonal? Which student looks most like its teacher inside: the one that learned from soft targets, which say nothing about the inside, or the one with hints?

# %% role="show" name="cka_matrix" folded=true
alike = check.ready(linear_cka, lambda x, y: torch.tensor(cka(x, y)))
theirs = layers_of(teacher, seen)
figure, grid = plt.subplots(1, 4, figsize=(11, 3), layout="constrained", sharey=True)
for axes, (name, net) in zip(grid, students.items(), strict=True):
    ours = layers_of(net, seen)
    table = np.array([[float(alike(a.double(), b.double())) for b in theirs] for a in ours])
    axes.imshow(table, vmin=0, vmax=1, cmap="cividis")
    for row in range(3):
        for column in range(3):
            value = table[row, column]
            axes.text(
                column, row, f"{value:.2f}", ha="center", va="center",
                color="white" if value < 0.5 else "black",
            )  # fmt: skip
    axes.set(title=name, xticks=range(3), yticks=range(3), xlabel="teacher's block")
grid[0].set_ylabel("student's block")
plots.show(
    "Four 3 by 3 tables of CKA between the blocks of the teacher and those of a student: never "
    "trained, labels, soft targets, hints."
)

# %% [markdown]
# In the trained students equal depths hold the same signals alike, most of all with hints, where they were asked to; but the last block of the student of labels is no more like the teacher's last than its middle block is. Even the net that was never trained is like the teacher
# in its first block, which is still close to the signal itself. In the last block the four differ most: soft targets draw it nearer to the teacher's without ever having seen it, hints a little more. (One student each: a look, not a proof.)
#
# ## Hints
#
# FitNets' idea: let a layer of the student, the *guided* layer, produce what a layer of the teacher, the *hint*, produces. The two have other widths, so a small
# **regressor** $r$ stands between them, and is thrown away at the end:
#
# $$L_{\text{hint}} = \frac{1}{n}\sum_{i=1}^{n} \big(r(F_s)_i - (F_t)_i\big)^2,$$
#
# $n$ numbers a sample. The regressor learns together with the student, so it must be among the parameters of the optimizer, and a loss must reach it. (The published
# bug of this kind: the regressor is made after the optimizer, never moves, and the hint asks for a random projection of the teacher.) It should be *small*: a deep regressor can turn
# anything into anything, and the student itself learns nothing.
#
# The paper trains in two stages: first the student's lower half on the hint alone, then the whole student on soft targets.
#
# ### Exercise 3: FitNets' first stage, a loop of your own
# A loop in plain PyTorch. `Capture` on both models gives the two layers: `with Capture(student, [ours]) as inside, Capture(teacher, [theirs]) as target:`.
# Read `inside[ours]` before the block ends. The nets of the checks are MLPs; their `layers.1` is a linear layer, so its output is what goes *into* the ReLU.
# In which mode you leave the teacher does not matter.
#
# <details><summary>Hint: the order of things</summary>
#
# Teacher to eval mode once, before the loop. Then for each batch: both forwards inside the `with` (the teacher's under `torch.no_grad()`), the loss from what was captured,
# `optimizer.zero_grad()`, `loss.backward()`, `optimizer.step()`, and `loss.item()` into the list.
# </details>


# %% role="answer" name="hint_stage" library="tinykd.Trainer, tinykd.Hint"
def hint_stage(student, teacher, regressor, ours, theirs, batches, optimizer):
    """FitNets' first stage: one optimizer step a batch on the mean over all numbers of (r(F_s) - F_t)**2.

    student, teacher, regressor: modules. ours, theirs: names of the student's and of the teacher's layer. batches: a list of inputs, (B, ...) each.
    optimizer: holds the parameters of student and regressor already. The teacher is asked in eval mode and gets no gradients.
    Returns the losses, one number for each batch, each before its step.
    """
    # YOUR CODE: for each batch both forwards, the loss, one step
    # BEGIN SOLUTION
    losses = []
    teacher.eval()
    for x in batches:
        with Capture(student, [ours]) as inside, Capture(teacher, [theirs]) as target:
            student(x)
            with torch.no_grad():
                teacher(x)
            loss = (regressor(inside[ours]) - target[theirs]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
    # END SOLUTION


# %% role="check" name="hint_stage.losses" points=1 hint="One loss for each batch, taken before its step; a mean over all numbers; the teacher in eval mode (its dropout off). The first loss that is wrong tells: the first is the loss itself, a later one is the step."
rng = check.rng("hint_stage.losses")
s, t, r, data, optimizer = hint_class(rng)
free = [s, t, r, optimizer]
losses = check.call(hint_stage, s, t, r, "layers.0", "layers.1", data, optimizer, may_change=free)
check("hint_stage.losses", losses)

# %% role="check" name="hint_stage.weights" points=1 hint="Every step moves the student up to its layer, and the regressor. Gradients are cleared before each backward; the optimizer is the one that was handed in."
rng = check.rng("hint_stage.weights")
s, t, r, data, optimizer = hint_class(rng)
free = [s, t, r, optimizer]
check.call(hint_stage, s, t, r, "layers.1", "layers.1", data, optimizer, may_change=free)
check("hint_stage.weights", {"student": everything(s), "regressor": everything(r)})

# %% role="check" name="hint_stage.teacher" points=1 hint="The teacher is only asked: nothing moves it and no backward reaches it (torch.no_grad). No hook stays on either model."
rng = check.rng("hint_stage.teacher")
s, t, r, data, optimizer = hint_class(rng)
before, free = everything(t), [s, t, r, optimizer]
losses = check.call(hint_stage, s, t, r, "layers.0", "layers.1", data, optimizer, may_change=free)
check(
    "hint_stage.teacher",
    {
        "moved": (everything(t) - before).abs().max(),
        "gradients": sum(p.grad is not None for p in t.parameters()),
        "hooks": hooks_on(s) + hooks_on(t),
        "last loss": losses[-1:],
    },
)

# %% role="hidden" name="hint_stage.secret" points=1 hint="Other widths, layers and numbers of batches."
rng = check.rng("hint_stage.secret")
s, t, r, data, optimizer = hint_class(rng, width=3, wide=5, batches=6)
free = [s, t, r, optimizer]
losses = check.call(hint_stage, s, t, r, "layers.0", "layers.1", data, optimizer, may_change=free)
check(
    "hint_stage.secret", [losses, everything(s, r), sum(p.grad is not None for p in t.parameters())]
)


# %% role="mutant" of="hint_stage" name="hint_stage.no_zero_grad" loses="hint_stage.losses, hint_stage.weights, hint_stage.teacher, hint_stage.secret" hint="The gradients of earlier steps are still there, and backward() adds to them. optimizer.zero_grad() comes before it."
def hint_stage(student, teacher, regressor, ours, theirs, batches, optimizer):
    losses = []
    teacher.eval()
    for x in batches:
        with Capture(student, [ours]) as inside, Capture(teacher, [theirs]) as target:
            student(x)
            with torch.no_grad():
                teacher(x)
            loss = (regressor(inside[ours]) - target[theirs]).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="hint_stage" name="hint_stage.teacher_trains" loses="hint_stage.losses, hint_stage.weights, hint_stage.teacher, hint_stage.secret" hint="The teacher is in train mode, so its dropout makes every hint another one. teacher.eval() first."
def hint_stage(student, teacher, regressor, ours, theirs, batches, optimizer):
    losses = []
    teacher.train()
    for x in batches:
        with Capture(student, [ours]) as inside, Capture(teacher, [theirs]) as target:
            student(x)
            with torch.no_grad():
                teacher(x)
            loss = (regressor(inside[ours]) - target[theirs]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="hint_stage" name="hint_stage.teacher_gradient" loses="hint_stage.teacher, hint_stage.secret" hint="A gradient reached the teacher. Ask it under torch.no_grad(), or detach what it gives."
def hint_stage(student, teacher, regressor, ours, theirs, batches, optimizer):
    losses = []
    teacher.eval()
    for x in batches:
        with Capture(student, [ours]) as inside, Capture(teacher, [theirs]) as target:
            student(x)
            teacher(x)
            loss = (regressor(inside[ours]) - target[theirs]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="hint_stage" name="hint_stage.student_cut_off" loses="hint_stage.losses, hint_stage.weights, hint_stage.teacher, hint_stage.secret" hint="Only the regressor learned: the student's activation was detached, or computed under torch.no_grad(). Only the teacher is a constant."
def hint_stage(student, teacher, regressor, ours, theirs, batches, optimizer):
    losses = []
    teacher.eval()
    for x in batches:
        with Capture(student, [ours]) as inside, Capture(teacher, [theirs]) as target:
            with torch.no_grad():
                student(x)
                teacher(x)
            loss = (regressor(inside[ours]) - target[theirs]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="hint_stage" name="hint_stage.regressor_left_out" loses="hint_stage.losses, hint_stage.weights, hint_stage.teacher, hint_stage.secret" hint="The regressor never learned. It has to be moved by the same step as the student: do not detach it, or make another optimizer without it."
def hint_stage(student, teacher, regressor, ours, theirs, batches, optimizer):
    before = [p.detach().clone() for p in regressor.parameters()]
    losses = []
    teacher.eval()
    for x in batches:
        with Capture(student, [ours]) as inside, Capture(teacher, [theirs]) as target:
            student(x)
            with torch.no_grad():
                teacher(x)
            loss = (regressor(inside[ours]) - target[theirs]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for p, old in zip(regressor.parameters(), before, strict=True):
                p.copy_(old)
        losses.append(loss.item())
    return losses


# %% role="mutant" of="hint_stage" name="hint_stage.sum" loses="hint_stage.losses, hint_stage.weights, hint_stage.teacher, hint_stage.secret" hint="You summed over the numbers: the loss is as many times too large, and so are the steps. The hint is a mean."
def hint_stage(student, teacher, regressor, ours, theirs, batches, optimizer):
    losses = []
    teacher.eval()
    for x in batches:
        with Capture(student, [ours]) as inside, Capture(teacher, [theirs]) as target:
            student(x)
            with torch.no_grad():
                teacher(x)
            loss = (regressor(inside[ours]) - target[theirs]).square().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="hint_stage" name="hint_stage.no_step" loses="hint_stage.losses, hint_stage.weights, hint_stage.teacher, hint_stage.secret" hint="Nothing moved: after backward() comes optimizer.step()."
def hint_stage(student, teacher, regressor, ours, theirs, batches, optimizer):
    losses = []
    teacher.eval()
    for x in batches:
        with Capture(student, [ours]) as inside, Capture(teacher, [theirs]) as target:
            student(x)
            with torch.no_grad():
                teacher(x)
            loss = (regressor(inside[ours]) - target[theirs]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
    return losses


# %% role="mutant" of="hint_stage" name="hint_stage.first_batch" loses="hint_stage.losses, hint_stage.weights, hint_stage.teacher, hint_stage.secret" hint="You return after the first batch: the return belongs behind the loop, one level to the left."
def hint_stage(student, teacher, regressor, ours, theirs, batches, optimizer):
    teacher.eval()
    for x in batches:
        with Capture(student, [ours]) as inside, Capture(teacher, [theirs]) as target:
            student(x)
            with torch.no_grad():
                teacher(x)
            loss = (regressor(inside[ours]) - target[theirs]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return [loss.item()]


# %% role="alternative" of="hint_stage" name="hint_stage.by_mse"
def hint_stage(student, teacher, regressor, ours, theirs, batches, optimizer):
    found = []
    with Capture(student, [ours]) as inside, Capture(teacher.eval(), [theirs]) as target:
        for x in batches:
            with torch.no_grad():
                teacher(x)
            student(x)
            loss = F.mse_loss(regressor(inside[ours]), target[theirs].detach())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            found.append(loss.item())
    return found


# %% role="alternative" of="hint_stage" name="hint_stage.own_hooks"
def hint_stage(student, teacher, regressor, ours, theirs, batches, optimizer):
    held = {}
    handles = [
        student.get_submodule(ours).register_forward_hook(lambda m, i, o: held.update(s=o)),
        teacher.get_submodule(theirs).register_forward_hook(lambda m, i, o: held.update(t=o)),
    ]
    losses = []
    try:
        teacher.eval()
        for x in batches:
            optimizer.zero_grad()
            student(x)
            with torch.inference_mode():
                teacher(x)
            gap = regressor(held["s"]) - held["t"].clone()
            loss = (gap * gap).mean()
            losses.append(loss.detach().item())
            loss.backward()
            optimizer.step()
    finally:
        for handle in handles:
            handle.remove()
    return losses


# %% [markdown]
# ## A student that does not start
#
# FitNets' own claim was about **thin and deep** students: deeper than the teacher and so thin that they could not be trained from labels, but could with a hint.
# Here is one: twelve hidden layers of 24 ReLU units, 10,000 MNIST digits, SGD with momentum, and the start that `torch.nn.Linear` has by default. Its teacher has two hidden layers of 100.
# Six ways to train it, 600 steps each:
#
# - from **labels**; from **soft targets**;
# - **two stages**: half of the steps on one hint in the middle (your loop), then soft targets, as in the paper;
# - **many hints**: labels, and a hint at every second layer, all at once;
# - and two rivals that need no teacher: labels with **Adam** in place of SGD; labels with **He's start** (arXiv 1502.01852), which keeps the size of the
#   activations from layer to layer, where torch's default lets them shrink.
#
# **What do you expect?** Which of the six will be above chance, which is 10%?

# %% role="show" name="thin_and_deep"
digits, digit_labels = load_mnist("train")
digits = digits.flatten(1)
held_digits, held_labels = digits[50_000:54_000], digit_labels[50_000:54_000]
digits, digit_labels = digits[:10_000], digit_labels[:10_000]
thin_steps = {"smoke": 100, "default": 600, "full": 600}[scale]
stage = check.ready(
    hint_stage,
    lambda s, t, r, ours, theirs, batches, optimizer: Trainer(
        s, Hint(ours, theirs, r), t, optimizer, device="cpu", progress=False
    ).fit(batches),
)


def thin_net(he=False, seed=0):
    torch.manual_seed(seed)
    net = MLP(784, *[24] * 12, 10)  # an MLP of tinykd has He's start
    if not he:
        for layer in net.layers:
            layer.reset_parameters()
    return net


def train_thin(net, objective, steps, teacher=None, adam=False, seed=0):
    def optimizer(parameters):
        return torch.optim.Adam(parameters, 2e-3) if adam else sgd(parameters)

    curve = []

    def watch(trainer):
        if trainer.step % 50 == 0:
            curve.append((trainer.step, accuracy(predict(net, held_digits), held_labels)))
            net.train()

    Trainer(
        net, objective, teacher, optimizer, schedule=tinykd.cosine(1, 0), callbacks=[watch],
        device="cpu", progress=False,
    ).fit(Batches(digits, digit_labels, size=100, seed=seed), epochs=max(1, steps // 100))  # fmt: skip
    return curve


def sgd(parameters):
    return torch.optim.SGD(parameters, 0.05, momentum=0.9)


torch.manual_seed(0)
broad = MLP(784, 100, 100, 10)
train_thin(broad, HardLabels(), thin_steps)
print(f"teacher: {accuracy(predict(broad, held_digits), held_labels):.1%}")

curves = {}
net = thin_net()
curves["labels"] = train_thin(net, HardLabels(), thin_steps)
net = thin_net()
curves["soft targets"] = train_thin(net, SoftTargets(T=4), thin_steps, broad)
net, regressor = thin_net(), nn.Linear(24, 100)
order = torch.randperm(10_000, generator=torch.Generator().manual_seed(0))
inputs_of = [digits[rows] for rows in order.split(100)] * (thin_steps // 200 or 1)
stage(net, broad, regressor, "layers.6", "layers.1", inputs_of,
      sgd([*net.parameters(), *regressor.parameters()]))  # fmt: skip
staged = thin_net()
staged.load_state_dict(net.state_dict())  # as it is after the first stage, to be looked at below
second = train_thin(net, SoftTargets(T=4), thin_steps // 2, broad)
curves["two stages"] = [(step + thin_steps // 2, right) for step, right in second]
net, odd = thin_net(), [1, 3, 5, 7, 9, 11]
hints = Hint(
    [f"layers.{n}" for n in odd],
    [f"layers.{n}" for n in (0, 0, 0, 1, 1, 1)],
    [nn.Linear(24, 100) for _ in odd],
)
curves["many hints"] = train_thin(net, hints + HardLabels(), thin_steps, broad)
net = thin_net()
curves["labels, Adam"] = train_thin(net, HardLabels(), thin_steps, adam=True)
net = thin_net(he=True)
curves["labels, He's start"] = train_thin(net, HardLabels(), thin_steps)
for name, curve in curves.items():
    print(f"{name:20s} {curve[-1][1]:.1%} of held-out digits right")


# %% role="show" name="thin_figure" folded=true
from pathlib import Path

places = [Path("../datasets"), Path("datasets"), Path(tinykd.__file__).parents[1] / "datasets"]
file = next((p / "results/features.json" for p in places if (p / "results/features.json").exists()), None)  # fmt: skip
if file is None:
    raise FileNotFoundError(
        "no datasets/results/features.json: open this notebook inside a clone of the course"
    )
stored = json.loads(file.read_text())


def by_seed(method, setting="300 labels", key="accuracy"):
    return {
        run["seed"]: run[key]
        for run in stored["runs"]
        if (run["method"], run["setting"]) == (method, setting)
    }


def apart(a, b, setting="300 labels", key="accuracy"):
    """Mean and half width of a - b, seed by seed."""
    a, b = by_seed(a, setting, key), by_seed(b, setting, key)
    return mean_interval([a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())])


def verdict(mean, half):
    if abs(mean) <= half:
        return "not shown"
    return "better" if mean > 0 else "worse"


def spreads(net):
    """By how much the outputs of each hidden layer differ from digit to digit."""
    layers = [f"layers.{n}" for n in range(12)]
    with torch.no_grad(), Capture(net, layers) as acts:
        net(held_digits[:1000])
        return [float(acts[name].std(0).mean()) for name in layers]


figure, (axes, depth) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
for name, style, net in (
    ("default start", "o-", thin_net()),
    ("He's start", "s--", thin_net(he=True)),
    ("after one hint at layer 6", "^:", staged),
):
    found = spreads(net)
    depth.semilogy(found, style, color=COLORS[{"d": 0, "H": 5, "a": 2}[name[0]]], label=name)
    print(f"{name:26s} " + " ".join(f"{found[n]:.1g}" for n in (0, 3, 6, 9, 11)))
print("(standard deviation over 1000 digits at hidden layers 0, 3, 6, 9 and 11)\n")
depth.set(xlabel="hidden layer", title="how much the digits differ, by layer", xticks=range(12))
depth.spines[["top", "right"]].set_visible(False)
depth.legend(frameon=False, fontsize=9, loc="lower left")
styles = ["-", "--", ":", "-", "--", "--"]
for number, (name, curve) in enumerate(curves.items()):
    axes.plot(*zip(*curve, strict=True), styles[number], color=COLORS[number], label=name)
axes.axhline(0.1, color="gray", linewidth=0.8, linestyle=":")
axes.set(xlabel="step", title="accuracy on held-out digits", ylim=(0, 1))
axes.spines[["top", "right"]].set_visible(False)
axes.annotate("labels, soft targets, two stages", (60, 0.03), fontsize=9)
axes.legend(frameon=False, fontsize=9, loc="lower right", bbox_to_anchor=(1, 0.13))
plots.show(
    "Left: accuracy against steps for six ways to train a thin, deep net: labels, soft targets and "
    "two stages stay near chance; many hints, Adam and He's start rise. Right: how much the "
    "outputs of each layer differ from digit to digit: they shrink from layer to layer with the "
    "default start, not with He's; after a hint at layer 6 they are large up to there."
)
thin = "thin and deep"
print(f"Stored runs: accuracy on 10,000 test digits, {len(by_seed('labels', thin))} seeds")
for name in curves:
    each = [f"{100 * x:.0f}" for x in by_seed(name, thin).values()]
    mean, half = apart("many hints", name, thin)
    other = "" if name == "many hints" else f"many hints {100 * mean:+.1f} ± {100 * half:.1f}"
    print(f"{name:20s} {'% '.join(each)}%   {other}".rstrip())
mean, half = apart("labels, He's start", "labels, Adam", thin)
print(f"He's start against Adam {100 * mean:+.1f} ± {100 * half:.1f}")

# %% [markdown]
# FitNets' claim holds, in a form of its own. From labels, and from soft targets, this student never starts, under any of five seeds: the right picture says why. With the default start, what tells one digit from another shrinks from layer to layer, ten thousandfold in all, and the gradient on its way back shrinks likewise. One hint in the
# middle, followed by soft targets, does not start it here either (its curve begins where the second stage does, at half of the steps): it brings the layers up to 6 to life, and in the five above them what arrives still shrinks more than a hundredfold, and so does the gradient on its way back. Hints at every second layer do, under every seed: each gives its own two layers a gradient from nearby.
#
# And the rivals that need no teacher? Adam, which divides each weight's gradient by its usual size, starts the net too, and over the five seeds it cannot be told from many hints. He's start is better than many hints; it has the highest mean of all, though over these seeds it is not shown to be better than Adam. He's paper came two months after FitNets and cured
# without a teacher what hints had been invented to cure. Whoever reads "it cannot be trained without a teacher" should ask: *with which start, and which optimizer?*
#
# ## Where a layer looks: attention transfer
#
# A hint asks for the activations themselves, and needs a regressor. **Attention transfer** asks for less: the student may compute what it likes, as long as it looks
# where the teacher looks. With the attention map of each side scaled to length 1,
#
# $$A(F)_p = \frac{\sum_c F_{cp}^2}{\big\lVert \sum_c F_{c\,\cdot}^2 \big\rVert_2}, \qquad L_{\text{AT}} = \sum_p \big(A(F_s)_p - A(F_t)_p\big)^2$$
#
# for one sample; $p$ runs over the places. Numbers of channels may differ, places may not. (The paper writes the distance, not its square; with the square, the gradient
# vanishes where both agree.)
#
# ### Exercise 4: attention transfer
# <details><summary>Hint: lengths</summary>
#
# `F.normalize(a, dim=1)` divides each row by its length, and survives rows of zeros. `x.flatten(1)` keeps the samples and lays out the rest in a row.
# </details>


# %% role="answer" name="attention_transfer" library="tinykd.features.attention_transfer, tinykd.features.attention_map"
def attention_transfer(student, teacher):
    """Attention transfer: the squared distance of the two attention maps of length 1, for each sample.

    student: (B, C, ...places), teacher: (B, C', ...the same places), one or more axes of places. The teacher is a constant. Returns (B,).
    """

    # YOUR CODE: two maps of length 1, their squared distance
    # BEGIN SOLUTION
    def attention(x):
        return F.normalize(x.square().sum(1).flatten(1), dim=1)  # (B, P)

    return (attention(student) - attention(teacher.detach())).square().sum(1)
    # END SOLUTION


# %% role="check" name="attention_transfer.values" points=1 hint="Squares summed over channels (axis 1), each sample's map scaled to length 1, the squared differences summed over places: one number a sample."
rng = check.rng("attention_transfer.values")
s, t = draw(rng, 4, 3, 6), draw(rng, 4, 5, 6)
check("attention_transfer.values", with_gradient(check.call(attention_transfer, s, t), s, t))

# %% role="check" name="attention_transfer.pictures" points=1 hint="Pictures have two axes of places, (B, C, H, W): the length is that of the whole map, and what comes out is still one number a sample, (B,)."
rng = check.rng("attention_transfer.pictures")
s, t = draw(rng, 5, 2, 3, 4), draw(rng, 5, 4, 3, 4)
check("attention_transfer.pictures", with_gradient(check.call(attention_transfer, s, t), s))

# %% role="check" name="attention_transfer.scale" points=1 hint="A teacher whose activations are a thousand times as large looks at the same places: only the normalised maps count."
rng = check.rng("attention_transfer.scale")
s, t = draw(rng, 5, 4, 7), draw(rng, 5, 2, 7, size=1000.0)
check("attention_transfer.scale", with_gradient(check.call(attention_transfer, s, t), s))

# %% role="hidden" name="attention_transfer.secret" points=1 hint="Pictures have two axes of places."
rng = check.rng("attention_transfer.secret")
s, t = draw(rng, 3, 2, 4, 5), draw(rng, 3, 6, 4, 5)
check("attention_transfer.secret", with_gradient(check.call(attention_transfer, s, t), s, t))


# %% role="mutant" of="attention_transfer" name="attention_transfer.rows" loses="attention_transfer.pictures, attention_transfer.secret" hint="Of a picture you scaled each row of places for itself, and (B, W) came out. Lay out all places in one row first, flatten(1)."
def attention_transfer(student, teacher):
    def attention(x):
        return F.normalize(x.square().sum(1), dim=1)

    return (attention(student) - attention(teacher.detach())).square().sum(1)


# %% role="mutant" of="attention_transfer" name="attention_transfer.no_length" loses="attention_transfer.values, attention_transfer.pictures, attention_transfer.scale, attention_transfer.secret" hint="The maps are not scaled to length 1, so the loss asks the student for the size of the teacher's activations."
def attention_transfer(student, teacher):
    a, b = (x.square().sum(1).flatten(1) for x in (student, teacher.detach()))
    return (a - b).square().sum(1)


# %% role="mutant" of="attention_transfer" name="attention_transfer.sums_to_one" loses="attention_transfer.values, attention_transfer.pictures, attention_transfer.scale, attention_transfer.secret" hint="You divided by the sum of the map. Its length is meant: the root of the sum of squares."
def attention_transfer(student, teacher):
    a, b = (x.square().sum(1).flatten(1) for x in (student, teacher.detach()))
    return (a / a.sum(1, keepdim=True) - b / b.sum(1, keepdim=True)).square().sum(1)


# %% role="mutant" of="attention_transfer" name="attention_transfer.one_length" loses="attention_transfer.values, attention_transfer.pictures, attention_transfer.scale, attention_transfer.secret" hint="One length for the whole batch: each sample's map has its own."
def attention_transfer(student, teacher):
    a, b = (x.square().sum(1).flatten(1) for x in (student, teacher.detach()))
    return (a / a.norm() - b / b.norm()).square().sum(1)


# %% role="mutant" of="attention_transfer" name="attention_transfer.signed" loses="attention_transfer.values, attention_transfer.pictures, attention_transfer.scale, attention_transfer.secret" hint="The activations were summed with their signs, so that strong ones cancel. Square them first."
def attention_transfer(student, teacher):
    a, b = (F.normalize(x.sum(1).flatten(1), dim=1) for x in (student, teacher.detach()))
    return (a - b).square().sum(1)


# %% role="mutant" of="attention_transfer" name="attention_transfer.absolute" loses="attention_transfer.values, attention_transfer.pictures, attention_transfer.scale, attention_transfer.secret" hint="You summed absolute values. The map sums squares."
def attention_transfer(student, teacher):
    a, b = (F.normalize(x.abs().sum(1).flatten(1), dim=1) for x in (student, teacher.detach()))
    return (a - b).square().sum(1)


# %% role="mutant" of="attention_transfer" name="attention_transfer.mean" loses="attention_transfer.values, attention_transfer.pictures, attention_transfer.scale, attention_transfer.secret" hint="You averaged over the places (or over the batch). The formula sums over places and keeps one number a sample."
def attention_transfer(student, teacher):
    a, b = (F.normalize(x.square().sum(1).flatten(1), dim=1) for x in (student, teacher.detach()))
    return (a - b).square().mean(1)


# %% role="mutant" of="attention_transfer" name="attention_transfer.distance" loses="attention_transfer.values, attention_transfer.pictures, attention_transfer.scale, attention_transfer.secret" hint="That is the distance. The loss here is its square."
def attention_transfer(student, teacher):
    a, b = (F.normalize(x.square().sum(1).flatten(1), dim=1) for x in (student, teacher.detach()))
    return (a - b).norm(dim=1)


# %% role="mutant" of="attention_transfer" name="attention_transfer.attached" loses="attention_transfer.values, attention_transfer.secret" hint="The teacher receives a gradient. It is a constant: teacher.detach()."
def attention_transfer(student, teacher):
    a, b = (F.normalize(x.square().sum(1).flatten(1), dim=1) for x in (student, teacher))
    return (a - b).square().sum(1)


# %% role="alternative" of="attention_transfer" name="attention_transfer.cosine"
def attention_transfer(student, teacher):
    a = student.pow(2).sum(dim=1).reshape(len(student), -1)
    b = teacher.detach().pow(2).sum(dim=1).reshape(len(teacher), -1)
    return 2 - 2 * F.cosine_similarity(a, b, dim=1)


# %% role="alternative" of="attention_transfer" name="attention_transfer.by_hand"
def attention_transfer(student, teacher):
    with torch.no_grad():
        b = torch.einsum("bcp,bcp->bp", teacher.flatten(2), teacher.flatten(2))
        b = b / b.pow(2).sum(1, keepdim=True).sqrt()
    a = torch.einsum("bcp,bcp->bp", student.flatten(2), student.flatten(2))
    return ((a / a.pow(2).sum(1, keepdim=True).sqrt() - b) ** 2).sum(-1)


# %% [markdown]
# ## Who resembles whom: relations
#
# **Relational distillation** (Park and others, arXiv 1904.05068) asks for less still. Nothing of a single sample has to agree, neither width nor places nor scale: the student
# should place the samples of a batch *relative to each other* as the teacher does. With $d_{ij} = \lVert x_i - x_j\rVert$ and its mean $\mu$ over all pairs
# $i \neq j$ of the batch, each side by itself,
#
# $$L_i = \frac{1}{B-1}\sum_{j \ne i} \ell\Big(\frac{d^s_{ij}}{\mu^s} - \frac{d^t_{ij}}{\mu^t}\Big), \qquad
# \ell(u) = \begin{cases} u^2/2 & |u| < 1\\ |u| - 1/2 & \text{else} \end{cases}$$
#
# $\ell$ is Huber's loss, `F.huber_loss(a, b, reduction="none")`: square for small gaps, straight for large ones. A second form compares the angles that three samples make.
#
# There is a price. The value for one sample depends on its **batch mates**. Cut a batch of 64 into four of 16 and the loss is another one: such a term says `couples_samples`,
# and the trainer refuses to accumulate it over micro-batches or to spread it over machines.
#
# ### Exercise 5: relational distances
# <details><summary>Hint: all distances at once</summary>
#
# `torch.cdist(x, x)` is the (B, B) table of distances, 0 on the diagonal, and its gradient at 0 is 0. (Your own `((x[:, None] - x[None]) ** 2).sum(-1).sqrt()`
# has an infinite slope at 0, and $0 \cdot \infty$ is NaN.) $B$ samples have $B(B-1)$ ordered pairs.
# </details>


# %% role="answer" name="relational_distances" library="tinykd.features.relational_distances"
def relational_distances(student, teacher):
    """Relational distillation by distances, one value for each sample: L_i above.

    student: (B, D), teacher: (B, E). The teacher is a constant; the student's mean distance is not: gradients flow through it too. Returns (B,).
    """

    # YOUR CODE: both tables of distances, each divided by its mean over the pairs; Huber's loss of the gap; the mean over the others
    # BEGIN SOLUTION
    def relative(x):
        d = torch.cdist(x, x)  # (B, B)
        return d / (d.sum() / (len(x) * (len(x) - 1)))

    gap = F.huber_loss(relative(student), relative(teacher.detach()), reduction="none")
    return gap.sum(1) / (len(student) - 1)
    # END SOLUTION


# %% role="check" name="relational_distances.values" points=1 hint="Distances over their mean on each side, Huber's loss, and the mean over the B - 1 others: one number a sample."
rng = check.rng("relational_distances.values")
s, t = related(rng, 6, 4, 5)
check("relational_distances.values", with_gradient(check.call(relational_distances, s, t), s, t))

# %% role="check" name="relational_distances.far" points=1 hint="One sample lies far away, so that some gaps are above 1, where Huber's loss is straight; and the teacher's units are a hundred times as large, which changes nothing."
rng = check.rng("relational_distances.far")
s, t = draw(rng, 7, 3), draw(rng, 7, 5, size=100.0)
with torch.no_grad():
    s[2] += 25
check("relational_distances.far", with_gradient(check.call(relational_distances, s, t), s))

# %% role="check" name="relational_distances.twins" points=1 hint="Two samples are the same here: their distance is 0. They are a pair like any other (only the diagonal is left out), and the gradient must stay finite there."
rng = check.rng("relational_distances.twins")
s, t = related(rng, 5, 5, 4)
with torch.no_grad():
    s[3], t[3] = s[1], t[1]
check("relational_distances.twins", with_gradient(check.call(relational_distances, s, t), s))

# %% role="hidden" name="relational_distances.secret" points=1 hint="Another size of the batch, other widths."
rng = check.rng("relational_distances.secret")
s, t = related(rng, 9, 6, 7)
check("relational_distances.secret", with_gradient(check.call(relational_distances, s, t), s, t))


# %% role="mutant" of="relational_distances" name="relational_distances.absolute" loses="relational_distances.values, relational_distances.far, relational_distances.twins, relational_distances.secret" hint="The distances are not divided by their mean, so the student has to copy the teacher's units. Divide each side by its own mean distance."
def relational_distances(student, teacher):
    teacher = teacher.detach()
    gap = F.huber_loss(
        torch.cdist(student, student), torch.cdist(teacher, teacher), reduction="none"
    )
    return gap.sum(1) / (len(student) - 1)


# %% role="mutant" of="relational_distances" name="relational_distances.with_itself" loses="relational_distances.values, relational_distances.far, relational_distances.twins, relational_distances.secret" hint="Your mean distance counts the diagonal, the distance of each sample from itself. There are B (B - 1) pairs."
def relational_distances(student, teacher):
    def relative(x):
        d = torch.cdist(x, x)
        return d / d.mean()

    gap = F.huber_loss(relative(student), relative(teacher.detach()), reduction="none")
    return gap.sum(1) / (len(student) - 1)


# %% role="mutant" of="relational_distances" name="relational_distances.over_all" loses="relational_distances.values, relational_distances.far, relational_distances.twins, relational_distances.secret" hint="You averaged over all B, the sample itself among them. There are B - 1 others."
def relational_distances(student, teacher):
    def relative(x):
        d = torch.cdist(x, x)
        return d / (d.sum() / (len(x) * (len(x) - 1)))

    return F.huber_loss(relative(student), relative(teacher.detach()), reduction="none").mean(1)


# %% role="mutant" of="relational_distances" name="relational_distances.squared" loses="relational_distances.values, relational_distances.far, relational_distances.twins, relational_distances.secret" hint="Those are squared distances. Take the root."
def relational_distances(student, teacher):
    def relative(x):
        d = (x[:, None] - x[None]).square().sum(-1)
        return d / (d.sum() / (len(x) * (len(x) - 1)))

    gap = F.huber_loss(relative(student), relative(teacher.detach()), reduction="none")
    return gap.sum(1) / (len(student) - 1)


# %% role="mutant" of="relational_distances" name="relational_distances.no_huber" loses="relational_distances.far" hint="Your loss is a parabola everywhere. Above 1 Huber's goes on in a straight line."
def relational_distances(student, teacher):
    def relative(x):
        d = torch.cdist(x, x)
        return d / (d.sum() / (len(x) * (len(x) - 1)))

    gap = (relative(student) - relative(teacher.detach())).square() / 2
    return gap.sum(1) / (len(student) - 1)


# %% role="mutant" of="relational_distances" name="relational_distances.no_half" loses="relational_distances.values, relational_distances.far, relational_distances.twins, relational_distances.secret" hint="The squared gap lacks its factor 1/2 where it is small: F.huber_loss has it, F.mse_loss has not."
def relational_distances(student, teacher):
    def relative(x):
        d = torch.cdist(x, x)
        return d / (d.sum() / (len(x) * (len(x) - 1)))

    gap = (relative(student) - relative(teacher.detach())).square()
    return gap.sum(1) / (len(student) - 1)


# %% role="mutant" of="relational_distances" name="relational_distances.mean_detached" loses="relational_distances.values, relational_distances.far, relational_distances.twins, relational_distances.secret" hint="The values are right, the gradient is not: the student's mean distance is a function of the student too. Only the teacher is a constant."
def relational_distances(student, teacher):
    def relative(x):
        d = torch.cdist(x, x)
        return d / (d.sum() / (len(x) * (len(x) - 1))).detach()

    gap = F.huber_loss(relative(student), relative(teacher.detach()), reduction="none")
    return gap.sum(1) / (len(student) - 1)


# %% role="mutant" of="relational_distances" name="relational_distances.infinite_slope" loses="relational_distances.values, relational_distances.far, relational_distances.twins, relational_distances.secret" hint="The root has an infinite slope at 0, and the diagonal is full of zeros: the gradient is NaN. torch.cdist, or .norm(dim=-1), knows that."
def relational_distances(student, teacher):
    def relative(x):
        d = (x[:, None] - x[None]).square().sum(-1).sqrt()
        return d / (d.sum() / (len(x) * (len(x) - 1)))

    gap = F.huber_loss(relative(student), relative(teacher.detach()), reduction="none")
    return gap.sum(1) / (len(student) - 1)


# %% role="mutant" of="relational_distances" name="relational_distances.attached" loses="relational_distances.values, relational_distances.secret" hint="The teacher receives a gradient. It is a constant: teacher.detach()."
def relational_distances(student, teacher):
    def relative(x):
        d = torch.cdist(x, x)
        return d / (d.sum() / (len(x) * (len(x) - 1)))

    gap = F.huber_loss(relative(student), relative(teacher), reduction="none")
    return gap.sum(1) / (len(student) - 1)


# %% role="alternative" of="relational_distances" name="relational_distances.by_norm"
def relational_distances(student, teacher):
    others = ~torch.eye(len(student), dtype=torch.bool)

    def relative(x):
        d = (x.unsqueeze(1) - x.unsqueeze(0)).norm(dim=-1)
        return d / d[others].mean()

    with torch.no_grad():
        target = relative(teacher)
    gap = F.smooth_l1_loss(relative(student), target, reduction="none")
    return torch.where(others, gap, 0.0).sum(-1) / others.sum(-1)


# %% role="alternative" of="relational_distances" name="relational_distances.library"
def relational_distances(student, teacher):
    return features.relational_distances(student, teacher)


# %% [markdown]
# ## The others, in one table
#
# Once you see the pattern, the rest of the literature reads quickly: every method asks *what must student and teacher have in common?* All of these are in `tinykd.features`, a function of a few
# lines each, and any of them goes into a `Hint`: `Hint("blocks.2", "blocks.2", loss=features.similarity_preserving)`.
#
# | method | for one sample | must agree | couples samples |
# |---|---|---|---|
# | hint (1412.6550) | mean of $(r(F_s) - F_t)^2$ | all, through a regressor | no |
# | attention (1612.03928) | $\lVert A_s - A_t\rVert^2$ | places | no |
# | selectivity (NST, 1707.01219) | MMD between the two sets of channel maps, kernel $(x\cdot y)^2$ | places | no |
# | distances, angles (RKD, 1904.05068) | Huber of relative distances; of cosines | nothing | yes |
# | similarity (SP, 1907.09682) | $\lVert G_s[i] - G_t[i]\rVert^2 / B$, $G$ the row-normalised $FF^\top$ | nothing | yes |
# | contrastive (after CRD, 1910.10699) | $-\log$ softmax over the batch of $s_i \cdot t_j / \tau$, at $j = i$ | width, through a regressor | yes |
# | Jacobian (1803.00443) | $\lVert \hat J_s - \hat J_t \rVert^2$ | the inputs | no |
#
# A row says the idea, not the whole: `help(features.neuron_selectivity)` and its neighbours give each formula with its shapes.
#
# ## What the answer depends on: Jacobians
#
# The last row looks at no layer at all. Move an input a little in every direction, and watch the logit $z_c$ of the class that the teacher prefers: $J = \partial z_c / \partial x$ has the
# shape of the input and says *what the answer depends on*. Srinivas and Fleuret (2018) let the student match it, scaled to length 1, $\hat J = J / \lVert J\rVert$. For each sample the teacher then says not only what the answer
# is here, but also how it changes on the way to any neighbouring input: on few samples that should be worth much.
#
# In code it is autograd twice: `torch.autograd.grad(z, x, create_graph=True)` gives a gradient that can itself be differentiated, so that a loss on it trains the weights. Here is what teacher and students depend on in one signal
# (gray); the bars are the gradient at each of the 40 numbers, scaled to length 1, three times enlarged.

# %% role="show" name="jacobians" folded=true
place = chosen[1]
x = test_signals[place : place + 1]
favourite = teacher(x).argmax(-1).detach()
figure, grid = plt.subplots(1, 4, figsize=(11, 2.6), layout="constrained", sharey=True)
slopes = {}
for axes, (name, net) in zip(
    grid, {"teacher": teacher, **{k: students[k] for k in ("labels", "soft targets", "hints")}}.items(), strict=True
):  # fmt: skip
    slope = F.normalize(tinykd.input_gradient(net, x, favourite), dim=1)[0]
    slopes[name] = slope
    axes.plot(x[0], color="gray", linewidth=1)
    colour = {"teacher": 0, "hints": 1, "soft targets": 2, "labels": 3}[name]  # as above
    axes.bar(range(40), 3 * slope, color=COLORS[colour], width=0.9)
    cosine = float(slope @ slopes["teacher"])
    axes.set(title=name if name == "teacher" else f"{name}: cosine {cosine:.2f}", xticks=[])
    axes.spines[["top", "right"]].set_visible(False)
plots.show(
    "One signal with the gradient of its logit as bars, for the teacher and for three students, "
    "and the cosine between each student's gradient and the teacher's."
)
sample = test_signals[:1000]
with torch.no_grad():
    favourites = teacher(sample).argmax(-1)
target = F.normalize(tinykd.input_gradient(teacher, sample, favourites), dim=1)
for name, net in students.items():
    ours = F.normalize(tinykd.input_gradient(net, sample, favourites), dim=1)
    mean = float((ours * target).sum(1).mean())
    print(f"{name:14s} mean cosine with the teacher's gradient, 1000 signals: {mean:.2f}")

# %% [markdown]
# The teacher's logit hangs on the dip; the students look all over the signal, and on this one the cosines do not even tell hints from labels. One signal is an example, no more. Over a thousand they do differ, 0.23 after labels, 0.31 after soft targets, 0.40 after hints, though nobody told these two where to look: with the activations, or the
# soft targets, a part of *what the answer depends on* comes across by itself. The Jacobian term asks for it outright, and pays for it with a second backward pass: a step takes two to three times as long.
#
# ## Does it help, and how much moved?
#
# Two questions, two numbers. **Accuracy** is what the student is for. **How much knowledge moved** is what the method claims: the share of the label-only student's divergence from the teacher that is gone,
#
# $$1 - \frac{\text{mean } \mathrm{KL}(p \,\Vert\, q_{\text{distilled}})}{\text{mean } \mathrm{KL}(p \,\Vert\, q_{\text{labels}})},$$
#
# on test signals, at $T = 1$: 1 if the student says what the teacher says, 0 if it is as far away as without, negative if it is farther.
#
# One run proves nothing, so the table below comes from `benchmarks/features.py`: every method with five seeds, each seed with a teacher, 300 signals and a start of its own, 600 steps for all. The weight of each method
# was chosen on held-out signals with a seed that is used for nothing else. Differences are taken seed by seed, and each has its 95% interval.
# `hint` stands at the last block, `hints at 3 blocks` and `attention` at each, the others at the last. Each method that looks inside is added to labels; `soft targets` are alone, at the best of $T$ = 2, 4, 8.
#
# **What do you expect?** The field has called each of these methods better than soft targets, once. How many of them will be, here?

# %% role="show" name="results" folded=true
measured = [run for run in stored["runs"] if run["setting"] == "300 labels"]
methods = [name for name in dict.fromkeys(r["method"] for r in measured) if "block " not in name]
seeds = sorted(by_seed("labels"))
print(f"{len(seeds)} seeds, 300 labelled signals; accuracy in %, gains in points\n")
print(f"{'':35s}{'accuracy':>9s} {'over labels':>14s} {'over soft targets':>17s}  {'s':>4s}")
for method in methods:
    mean = 100 * np.mean(list(by_seed(method).values()))
    cost = np.mean(list(by_seed(method, key="seconds").values()))
    line = f"{method:35s}{mean:9.1f}"
    for rival, width in (("labels", 14), ("soft targets", 17)):
        if method in ("labels", rival):
            line += " " + " " * width
            continue
        gain, half = apart(method, rival)
        line += f" {f'{100 * gain:+.1f} ± {100 * half:.1f}':>{width}s}"
    print(f"{line}  {cost:4.0f}")
theirs = list(by_seed("labels", key="teacher_accuracy").values())
print(f"{'teacher':35s}{100 * np.mean(theirs):9.1f}")
for more, less in (
    ("soft targets + Jacobian", "Jacobian"),
    ("soft targets + hints at 3 blocks", "hints at 3 blocks"),
):
    gain, half = apart(more, less)
    print(f"{more} over {less} alone: {100 * gain:+.1f} ± {100 * half:.1f}")
won = [m for m in methods if m not in ("labels", "soft targets")]
for rival in ("labels", "soft targets"):
    found = {m: verdict(*apart(m, rival)) for m in won}
    for word in ("better", "worse", "not shown"):
        names_of = [m for m in won if found[m] == word]
        print(
            "\n".join(textwrap.wrap(f"against {rival}, {word}: {', '.join(names_of) or '-'}", 86))
        )

# %% role="show" name="moved" folded=true
axes = plt.subplots(figsize=(8, 4.4), layout="constrained")[1]
ranked = sorted(
    (m for m in methods if m != "labels"),
    key=lambda m: np.mean(list(by_seed(m, key="moved").values())),
)
for row, method in enumerate(ranked):
    values = list(by_seed(method, key="moved").values())
    mean, half = mean_interval(values)
    colour = COLORS[1] if method.startswith("soft") else COLORS[0]
    axes.barh(row, mean, color=colour, alpha=0.75)
    axes.errorbar(mean, row, xerr=half, color="black", capsize=3)
    axes.plot(values, [row + 0.25] * len(values), "o", color="black", markersize=2.5)
axes.set_yticks(range(len(ranked)), ranked)
axes.axvline(0, color="black", linewidth=0.8)
axes.set_xlabel("share of the divergence from the teacher that is gone")
axes.spines[["top", "right"]].set_visible(False)
plots.show(
    "How much knowledge moved, a bar for each method with its interval and one dot a seed, sorted; "
    "methods with soft targets in another colour."
)
worst = {m: np.mean([r["moved_by_class"] for r in stored["runs"] if r["method"] == m and r["setting"] == "300 labels"], 0) for m in ranked}  # fmt: skip
print("knowledge moved, against soft targets, seed by seed:")
for method in reversed(ranked):
    if method != "soft targets":
        mean, half = apart(method, "soft targets", key="moved")
        print(f"{method:35s} {mean:+.2f} ± {half:.2f}  {verdict(mean, half)}")
print("\nknowledge moved, by class:")
print(f"{'':35s}" + "".join(f"{digit:5d}" for digit in range(10)))
for method in reversed(ranked):
    print(f"{method:35s}" + "".join(f"{x:5.1f}" for x in worst[method]))

# %% [markdown]
# Two of them beat plain soft targets on this student, and each with an interval that leaves out 0: **hints** and **Jacobians**. Both hand over what a layer or the answer *is* at a sample, number by number. Everything that asks for less
# (where to look, who resembles whom, which sample it is) helps over labels or at least is not shown to harm, and none of it is better than soft targets, which come for free with every teacher; most is worse. Label smoothing, the null hypothesis, does nothing for accuracy here: it is not softness that helps.
#
# The second picture has a surprise. By *knowledge moved* similarity is above plain soft targets, and attention, angles and contrastive are not shown to be below; in accuracy these three are worse, and similarity no better. And label smoothing, which knows no teacher, has removed a sixth of the divergence: a student that is less sure of itself
# is nearer to any teacher at $T = 1$, whatever it knows. (The student of soft targets learned at a high $T$, where its ranking of unlikely classes counts, and is measured at $T = 1$: that may be a part of it.) By class, the means hide much: soft targets move most on classes 0, 3 and 6 and little on 1 and 7; similarity is as good on most, and worst on 6. So "it imitates its teacher better" and "it is right more often" are two statements (lesson 05 takes them apart), and a paper that measures one should not claim the other.
#
# Two at once? Soft targets and hints together are not shown to be better than hints with labels. Soft targets and Jacobians are, in accuracy, by two points over Jacobians with labels, while by knowledge moved they are not. More terms are not always more.
#
# What this table is not: a ranking for every problem. One student, one world, 300 signals, 600 steps; the weights were chosen with one seed from three or four values a method, which is rough; and all students run at one learning rate (of Adam, which divides each gradient by its usual size), which lesson 05 would not let pass unasked. It is a measurement that you can repeat on *your* problem with fifty lines.
#
# ## Which layer?
#
# "Match the middle", "match layers 6 to 9", "match the last": advice is plentiful. It can be measured. Below, a hint from each block of the teacher (columns) to each block of the student (rows), same weight, against
# labels alone. **What do you expect?** A ridge along the diagonal?

# %% role="show" name="which_layer" folded=true
figure, axes = plt.subplots(figsize=(5, 3.6), layout="constrained")
table = np.zeros((3, 3))
for ours in range(3):
    for theirs in range(3):
        mean, half = apart(f"hint from block {theirs} to block {ours}", "labels")
        table[ours, theirs] = 100 * mean
        axes.text(
            theirs, ours, f"{100 * mean:+.1f}\n± {100 * half:.1f}", ha="center", va="center",
            color="white" if table[ours, theirs] < 9 else "black",
        )  # fmt: skip
image = axes.imshow(table, cmap="cividis", vmin=0, vmax=20)
figure.colorbar(image, label="points over labels")
axes.set(xticks=range(3), yticks=range(3), xlabel="teacher's block", ylabel="student's block")
plots.show(
    "A 3 by 3 table of accuracy gained over labels by a hint from each block of the teacher to "
    "each block of the student."
)
pairs = [(theirs, ours) for theirs in range(3) for ours in range(3)]
best = max(pairs, key=lambda p: table[p[1], p[0]])
print(f"highest mean: teacher's block {best[0]} to student's block {best[1]}")
for theirs, ours in pairs:
    if (theirs, ours) != best:
        name, top = (f"hint from block {a} to block {b}" for a, b in ((theirs, ours), best))
        mean, half = apart(top, name)
        print(f"  above {theirs} to {ours}: {100 * mean:+.1f} ± {100 * half:.1f}")

# %% [markdown]
# No ridge. One corner stands out: the teacher's *last* block into the student's *last*. There are three seeds only, so seven of the nine gains over labels are not shown by themselves (their intervals hold 0), and yet every one of the eight differences to that corner leaves 0 out. The plain reason: the last block is where the answer is all but made (the probes said so), and a hint there trains
# everything below it as well, while a hint lower down leaves the upper half to 300 labels. So *here* "match the last one" wins over "match the middle", as it did not in the thin net, which needed a gradient at every depth. Both times the question was the same: where is the gradient missing?
#
# ## Few samples
#
# The inside of a teacher says more about each sample than its answer does. So it should be worth most where samples are few. **What do you expect** at 100 labelled signals, and at 1,000?

# %% role="show" name="few" folded=true
axes = plt.subplots(figsize=(6.5, 3.8), layout="constrained")[1]
counts = (100, 300, 1000)
few = ("labels", "soft targets", "hints at 3 blocks", "Jacobian")
for number, method in enumerate(few):
    found = [mean_interval(list(by_seed(method, f"{n} labels").values())) for n in counts]
    where = [n * (0.97 + 0.02 * number) for n in counts]
    axes.errorbar(
        where, *zip(*found, strict=True), fmt="o-", color=COLORS[number], label=method, capsize=3
    )
axes.set(xscale="log", xlabel="labelled signals", ylabel="accuracy")
axes.set_xticks(counts, counts)
axes.minorticks_off()
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, fontsize=9)
plots.show(
    "Accuracy against the number of labelled signals, 100, 300 and 1000, for labels, soft targets, "
    "hints and Jacobians, with intervals."
)
print(f"{'points gained, with interval':30s}{'over labels':>16s}{'over soft targets':>20s}")
for n in counts:
    for method in few[1:]:
        line = f"{n:5d} signals, {method:18s}"
        for rival, width in (("labels", 13), ("soft targets", 20)):
            if method != rival:
                mean, half = apart(method, rival, f"{n} labels")
                line += f"{f'{100 * mean:+.1f} ± {100 * half:.1f}':>{width}s}"
        print(line)

# %% [markdown]
# At 100 signals hints and Jacobians are worth far more than soft targets are; at 1,000 plain soft targets are no longer shown to beat labels at all, hints still do, with a smaller gain. The fewer samples, the more it matters how much the teacher says about each.
#
# One more rival belongs here and is not in the picture: the teacher can be asked about *other* signals, which cost nothing but its time. That is lesson 06, and it changes the order once more.
#
# ## What we saw
#
# - A hook reads any layer; it has to go again, whatever happens. A probe says what is linearly there, CKA which layers hold samples alike; both need a control that was never trained.
# - The losses on activations differ in what student and teacher must have in common: everything, the places, or nothing but the samples. The less a loss asks for, the more freely it can be used, and the less it hands over.
# - **Should I use hints, relations or plain logits?** Plain soft targets first: they need nothing but logits. If samples are few and you have the teacher's inside, hints with a small regressor gave the most here: about 6 points over soft targets at 300 signals, at the last block alone or at all three, and 11 at 100 signals, measured at all three; for one and a half times the seconds a step;
#   Jacobians gave about as much for nearly three times, need no layers to be paired, only the same inputs. Relations, attention and contrast did not repay their trouble on this student.
# - A thin, deep net that labels could not start was started by hints at many depths; by Adam, or by a better start, as well.
# - How much knowledge moved and how often the student is right are two questions.
#
# ## Open experiments
#
# There is no answer key to these.
#
# - **A regressor that is too strong.** Put two layers of 200 units between `blocks.2` of student and teacher in `three_hints`, and leave the other two hints as they are. The hint loss falls faster. Does the student get better, and what does
#   its CKA with the teacher say? Why?
# - **The wrong teacher.** Take hints from a teacher that was never trained. Which of the losses of this lesson still help over labels, if any, and what does that say about where their gain comes from?
#
# ## Further reading
#
# - Romero, Ballas, Kahou, Chassang, Gatta, Bengio 2015, *FitNets: Hints for Thin Deep Nets*, arXiv 1412.6550: section 3.1, and the remark there on what a hint layer too high up does.
# - Kornblith, Norouzi, Lee, Hinton 2019, *Similarity of Neural Network Representations Revisited*, arXiv 1905.00414: why CKA, and what else fails.
# - Tian, Krishnan, Isola 2020, *Contrastive Representation Distillation*, arXiv 1910.10699: a dozen methods side by side, on one benchmark.
# - Srinivas, Fleuret 2018, *Knowledge Transfer with Jacobian Matching*, arXiv 1803.00443: why matching Jacobians is like distilling with noise on the inputs.
#
# Now grade yourself: `.venv/bin/tinykd check lessons/04_inside_the_teacher.ipynb`. Lesson 05 turns to the question that this one had to answer in passing: *does it help?*
