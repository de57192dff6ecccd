"""Train the embedded policy's tokenizer: a small BPE in which phrases of the dialect and the numbers 0..1000 are whole.

Each coordinate is one token, so that a box is four decisions and a soft target can be laid over neighbouring numbers.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
PHRASES = (
    *(f"<{slash}{tag}>" for tag in ("thinking", "search", "keyframe", "answer", "information") for slash in ("", "/")),
    '{"name": "text_search", "query": "',
    '{"name": "image_search", "query": "',
    '{"bbox_2d": [',
    '], "point_2d": [',
    '"}',
    "]}",
)
NUMBERS = tuple(str(number) for number in range(1001))

CHAT_TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' -}}
{%- if message.content is string -%}
{{- message.content -}}
{%- else -%}
{%- for part in message.content -%}
{%- if part.type == 'image' or part.type == 'image_url' -%}
{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
{%- else -%}
{{- part.text -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


def train_tokenizer(texts: Iterable[str], vocabulary: int = 2560) -> Tokenizer:
    """Train the BPE on texts; `vocabulary` counts everything: special tokens, phrases, numbers, bytes and merges."""
    tokenizer = Tokenizer(models.BPE())
    words = Regex(r", (?!.)| ?\p{L}+| ?\p{N}{1,4}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    # Digits are in the byte alphabet already.
    added = len(SPECIAL) + len(PHRASES) + len(NUMBERS) - 10
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - added,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        limit_alphabet=256,
    )
    # What will be a token of its own is cut out first, so that merges are learned for what stands between.
    whole = re.compile("|".join([*map(re.escape, PHRASES), rf"(?<!\w)(?:{'|'.join(NUMBERS[::-1])})(?!\w)"]))
    tokenizer.train_from_iterator((piece for text in texts for piece in whole.split(text)), trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in PHRASES])
    # A number is a token only when it stands alone: the year 2031 must not become 203 and 1.
    tokenizer.add_tokens([AddedToken(token, single_word=True, normalized=False) for token in NUMBERS])
    return tokenizer


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """Return the id of a token; KeyError if the vocabulary lacks it."""
    number = tokenizer.token_to_id(token)
    if number is None:
        raise KeyError(token)
    return int(number)


def special_ids(tokenizer: Tokenizer) -> dict[str, int]:
    """Return the ids of the special tokens; KeyError if the vocabulary lacks one."""
    return {token: token_id(tokenizer, token) for token in SPECIAL}


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer, chat template and image processor settings as transformers and vLLM read them."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": 4096,
        "clean_up_tokenization_spaces": False,
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "vision_bos_token": "<|vision_start|>",
        "vision_eos_token": "<|vision_end|>",
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    processor = {
        "image_processor_type": "Qwen2VLImageProcessorFast",
        "processor_class": "Qwen3VLProcessor",
        "patch_size": 16,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "size": {"shortest_edge": 1024, "longest_edge": 1048576},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=1) + "\n")
    video = {**processor, "video_processor_type": "Qwen3VLVideoProcessor"}
    del video["image_processor_type"]
    (folder / "video_preprocessor_config.json").write_text(json.dumps(video, indent=1) + "\n")


def coordinate_openers(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Return the tokens after which a number is a coordinate: those that open a box or point, and the comma in one."""
    texts = {'5{"bbox_2d": [7': 1, '5], "point_2d": [7': 1, "5, 7": 1, "ring [7": -2}
    return tuple(int(tokenizer.encode(text, add_special_tokens=False).ids[at]) for text, at in texts.items())
