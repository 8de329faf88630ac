"""Teachers of language models, beside those of `tinykd.teachers`, which do for any model.

kept on disk        topk_teacher: the likeliest tokens; topk_shards, shard_files: from many writers
from a server       served, served_teacher
on-policy           by_prompt: each prompt its own; privileged: one that sees more
other tokens        other_tokenizer
"""

from .by_prompt import ByPrompt
from .other_tokenizer import OtherTokenizer
from .privileged import Privileged
from .served import read_served
from .served_teacher import keep_served
from .shard_files import finish_shards, write_shard
from .topk_shards import TopKShards
from .topk_teacher import TopKTeacher

__all__ = [
    "ByPrompt",
    "OtherTokenizer",
    "Privileged",
    "TopKShards",
    "TopKTeacher",
    "finish_shards",
    "keep_served",
    "read_served",
    "write_shard",
]
