"""Log-probabilities from a server become the same top-k targets as from the logits themselves."""

import copy
import json
import math

import pytest
import torch

from tinykd.lm import SequenceBatches, Tokenizer, keep_served, read_served, topk_kl
from tinykd.lm.tokens.offsets import token_bytes
from tinykd.lm.topk import top_k

K = 4


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(["un café, deux cafés, trois euros €"] * 5, 290)


@pytest.fixture(scope="module")
def answer(tokenizer):
    """Ids of an answer, and the logits that a teacher has at their places."""
    ids = [*tokenizer.encode("un café €"), tokenizer.eos]
    logits = torch.randn(len(ids), tokenizer.vocab_size, generator=torch.Generator().manual_seed(0))
    return ids, (3 * logits).double()


def word(tokenizer, i):
    piece = token_bytes(tokenizer)[i] or tokenizer.tokens.id_to_token(i).encode()
    return {"token": piece.decode(errors="replace"), "bytes": list(piece)}


def chat(tokenizer, ids, logits, digits=6):
    """What a server says: the k likeliest in any order, whether the sampled one is there or not."""
    log_p, content = logits.log_softmax(-1), []
    for row, i in zip(log_p, ids, strict=True):
        top = row.topk(K).indices.tolist()[::-1]
        said = [word(tokenizer, j) | {"logprob": round(row[j].item(), digits)} for j in top]
        own = {"logprob": round(row[i].item(), digits), "top_logprobs": said}
        content.append(word(tokenizer, i) | own)
    return json.loads(json.dumps({"logprobs": {"content": content}, "finish_reason": "stop"}))


def test_a_chat_response_gives_the_teachers_top_k(tokenizer, answer):
    ids, logits = answer
    found = read_served(chat(tokenizer, ids, logits), tokenizer)
    wanted = top_k(logits, K)
    assert found.ids.tolist() == ids
    assert torch.equal(found.top.ids, wanted.ids)
    assert torch.allclose(found.top.log_p, wanted.log_p.float(), atol=1e-4)
    own = logits.log_softmax(-1).gather(-1, torch.tensor(ids)[:, None])[:, 0]
    assert torch.allclose(found.log_p, own.float(), atol=1e-5)
    student = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(topk_kl(student, found.top), topk_kl(student, wanted).float(), atol=1e-3)
    assert topk_kl(logits.float(), found.top).abs().max() < 1e-4


def test_a_completions_response_says_the_same(tokenizer, answer):
    ids, logits = answer
    same = chat(tokenizer, ids, logits)["logprobs"]["content"]
    whole = [
        n
        for n, one in enumerate(same)
        if "\N{REPLACEMENT CHARACTER}" not in json.dumps(one, ensure_ascii=False)
    ]
    assert whole
    old = {
        "tokens": [same[n]["token"] for n in whole],
        "token_logprobs": [same[n]["logprob"] for n in whole],
        "top_logprobs": [
            {x["token"]: x["logprob"] for x in same[n]["top_logprobs"]} for n in whole
        ],
        "text_offset": [0] * len(whole),
    }
    found, new = (
        read_served(x, tokenizer) for x in ({"logprobs": old}, chat(tokenizer, ids, logits))
    )
    assert torch.equal(found.top.ids, new.top.ids[whole])
    assert torch.allclose(found.top.log_p, new.top.log_p[whole])


def one(tokenizer, pairs, own=None):
    top = [word(tokenizer, i) | {"logprob": x} for i, x in pairs]
    own = own or {**top[0]}
    return {"logprobs": {"content": [own | {"top_logprobs": top}]}}


def test_doubles_absent_words_and_rounding(tokenizer):
    found = read_served(one(tokenizer, [(5, -1.0), (6, -2.0), (5, -1.1), (7, -9999.0)]), tokenizer)
    assert found.top.ids.tolist() == [[5, 6]]
    tail = 1 - math.exp(-1) - math.exp(-2)
    assert torch.allclose(found.top.log_p.exp()[0, -1], torch.tensor(tail))
    found = read_served(one(tokenizer, [(5, -0.0001), (6, -7.0)]), tokenizer)  # more than 1 in all
    assert found.top.log_p[0, -1] == -math.inf
    assert math.isclose(found.top.log_p.exp().sum().item(), 1, abs_tol=1e-6)
    absent = word(tokenizer, 9) | {"logprob": -9999.0}  # the token itself is not among the k
    found = read_served(one(tokenizer, [(5, -1.0), (6, -2.0)], absent), tokenizer)
    assert found.ids.tolist() == [9]
    assert found.log_p.isnan().all()
    fewer = read_served(one(tokenizer, [(6, -2.0), (5, -1.0)]), tokenizer, k=1)
    assert fewer.top.ids.tolist() == [[5]]
    assert math.isclose(fewer.top.log_p.exp()[0, 1].item(), 1 - math.exp(-1), rel_tol=1e-6)


def test_ids_in_place_of_words(tokenizer):
    said = one(tokenizer, [(5, -1.0), (6, -2.0)])
    for x in [said["logprobs"]["content"][0], *said["logprobs"]["content"][0]["top_logprobs"]]:
        x["token"], x["bytes"] = f"token_id:{5 if x['logprob'] == -1.0 else 6}", None
    assert read_served(said, tokenizer).top.ids.tolist() == [[5, 6]]


def test_what_is_wrong_is_named(tokenizer):
    good = one(tokenizer, [(5, -1.0), (6, -2.0)])

    def with_(**changes):
        other = copy.deepcopy(good)
        other["logprobs"]["content"][0]["top_logprobs"][1].update(changes)
        return other

    for said, words in (
        ({"message": {}}, r"no \"logprobs\".*message"),
        ({"logprobs": None}, 'no "logprobs"'),
        ({"logprobs": {"content": []}}, "without a single token"),
        ({"logprobs": {"content": [{"token": "a"}]}}, "logprob"),
        ({"logprobs": {"tokens": ["a"]}}, "token_logprobs"),
        (with_(logprob=0.5), r"place 0.* 0\.5"),
        (with_(logprob="x"), r"'x'"),
        (with_(logprob=math.nan), "nan"),
        (with_(logprob=-0.1), r"1\.27"),
        (with_(token="zzzz", bytes=None), "'zzzz' is no token"),
        (with_(token="\N{REPLACEMENT CHARACTER}", bytes=None), "half a character"),
        (with_(bytes=[300]), "300"),
        (with_(token="token_id:99999"), "token_id:99999"),
        (with_(token=17), "place 0: a token is text, got 17"),
        ({"logprobs": {"tokens": ["a"], "token_logprobs": [], "top_logprobs": [{}]}}, "lengths"),
        ({"logprobs": {"tokens": ["a"], "token_logprobs": [None], "top_logprobs": [None]}}, "echo"),
    ):
        with pytest.raises(ValueError, match=words):
            read_served(said, tokenizer)
    with pytest.raises(ValueError, match="place 0 has 2 words, needed are 3"):
        read_served(good, tokenizer, k=3)


def test_kept_answers_teach_as_the_teacher_itself_would(tokenizer, tmp_path):
    texts = ["un café", "deux cafés", "€"]
    prompts = [tokenizer.encode("un ")] * 3
    answers = [[*tokenizer.encode(text), tokenizer.eos] for text in texts]
    data = SequenceBatches(list(zip(prompts, answers, strict=True)), size=2, seed=3)
    logits = [
        torch.randn(len(ids), tokenizer.vocab_size, generator=torch.Generator().manual_seed(n))
        for n, ids in enumerate(answers)
    ]
    said = [
        read_served(chat(tokenizer, ids, z.double()), tokenizer)
        for ids, z in zip(answers, logits, strict=True)
    ]
    teacher = keep_served(tmp_path / "kept", said, data, "some model")
    for batch in data:
        found = teacher.targets(batch, []).logits
        wanted = top_k(torch.cat([logits[i] for i in batch["index"].tolist()]), K)
        assert torch.equal(found.ids.long(), wanted.ids)
        assert torch.allclose(found.log_p, wanted.log_p, atol=5e-3)
    with pytest.raises(ValueError, match="sample .: the server's answer is"):
        keep_served(tmp_path / "other", said[::-1], data)
    with pytest.raises(ValueError, match="2 answers for 3 samples"):
        keep_served(tmp_path / "other", said[:2], data)
    fewer = said[2]._replace(top=top_k(logits[2], 2))
    with pytest.raises(ValueError, match=r"answer 2 has \(k, T\) = \(2, 1.0\)"):
        keep_served(tmp_path / "other", [*said[:2], fewer], data)
