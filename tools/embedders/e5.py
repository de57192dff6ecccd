"""e5-base-v2: the encoder that Seg-ReSearch retrieves with; questions and documents carry prefixes.

Source: https://huggingface.co/intfloat/e5-base-v2 (mean pooling) and Seg-ReSearch's embedding service (256 tokens).
"""

from tools.embedders.mean_pooling import MeanPoolingEmbedder

HUB_ID = "intfloat/e5-base-v2"


def load_e5(where: str | None = None) -> MeanPoolingEmbedder:
    """Load e5 from `where`, a folder or a hub id, by default the official one; EmbedderError if it cannot be had."""
    return MeanPoolingEmbedder(
        # e5 was trained with a low temperature: unrelated texts still have cosines near 0.7.
        "e5",
        where or HUB_ID,
        chance=0.7,
        tokens=256,
        query_prefix="query: ",
        passage_prefix="passage: ",
    )
