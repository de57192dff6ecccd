"""Open-vocabulary segmentation: label every pixel with a class of a vocabulary, with reasons (OpenSeg-R's task).

The second graph of the project. A policy says what is in the picture and by what one knows it; descriptions of every
class score the masks of all that stands out, and a soft prior of presence is added. `segment_vocabulary` runs it.
"""

from graphs.openvocab.context import OpenVocabularyContext, Settings
from graphs.openvocab.run import OpenVocabularyResult, segment_vocabulary, stream_vocabulary
from graphs.openvocab.vocabulary import Vocabulary, VocabularyClass, read_vocabulary

__all__ = [
    "OpenVocabularyContext",
    "OpenVocabularyResult",
    "Settings",
    "Vocabulary",
    "VocabularyClass",
    "read_vocabulary",
    "segment_vocabulary",
    "stream_vocabulary",
]
