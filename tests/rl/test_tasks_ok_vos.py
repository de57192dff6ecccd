import pickle

import dataset_fixtures as make
import numpy as np
import PIL.Image
import pytest
from scipy import ndimage

from evals.datasets.ok_vos import OKVOS, plain_query
from rl.tasks.ok_vos import OKVOSSource
from tools.errors import InputError, MediaError


@pytest.fixture
def data(tmp_path):
    make.ok_vos(tmp_path, "train")
    make.ok_vos(tmp_path, "test")
    return tmp_path


@pytest.fixture
def truths(tmp_path_factory):
    return make.ok_vos(tmp_path_factory.mktemp("truths"), "train", tasks=1)


def published(mask):
    """Box and point of one frame, by the published arithmetic."""
    rows, columns = np.nonzero(mask)
    y, x = np.unravel_index(ndimage.distance_transform_edt(mask).argmax(), mask.shape)
    box = columns.min() / 60, rows.min() / 40, columns.max() / 60, rows.max() / 40
    return tuple(round(v * 1000) for v in box), (round(x / 60 * 1000), round(y / 40 * 1000))


def test_a_test_task_is_the_whole_video_with_truth_where_the_graph_looks(data, truths):
    source = OKVOSSource(data, "test", frames=6)
    task = source[1]
    assert (task.id, task.ability, len(source)) == ("q1", "one-hop", 3)
    assert task.task.query == "It was late. thing 1, 'the' one"
    assert len(task.task.media) == 20
    assert task.task.media[2].shape == (40, 60, 3)
    assert task.truth.steps == ("who is it", "what is it")
    assert source[0].truth.steps == ()
    assert [source[i].truth.steps_known for i in range(3)] == [False, True, True]
    assert set(task.truth.frames) == {8, 11}  # of 0, 4, 8, 11, 15, 19: frame 4 has no mask file
    for frame in range(20):
        masks = task.masks(frame)
        assert len(masks) == truths[frame].any()
        assert not masks or np.array_equal(masks[0], truths[frame])


def test_a_target_that_sampling_misses_is_not_absent(data):
    task = OKVOSSource(data, "test", frames=2)[0]  # frames 0 and 19
    assert set(task.truth.frames) == {3, *range(5, 13)}
    assert max(truth.area for truth in task.truth.frames.values()) == 1


def test_boxes_points_and_areas_are_the_published_ones_behind_the_flag(data, truths):
    source = OKVOSSource(data, "test", frames=20, published_points=True)
    frames = source[0].truth.frames
    assert set(frames) == {3, *range(5, 13)}
    for frame, truth in frames.items():
        (thing,) = truth.objects
        assert (thing.box, thing.point) == published(truths[frame])
        assert truth.area == truths[frame].sum() / truths[12].sum()
        assert truth.max_conn_area == (truths[frame].sum() - 6 * (frame == 12)) / (truths[12].sum() - 6)


def test_the_point_of_a_cut_object_is_not_on_the_edge_unless_published(data):
    (ours,) = OKVOSSource(data, "test", frames=20)[0].truth.frames[5].objects
    (theirs,) = OKVOSSource(data, "test", frames=20, published_points=True)[0].truth.frames[5].objects
    assert theirs.point[0] == 0
    assert ours.point[0] >= 4 / 60 * 1000
    assert ours.box == theirs.box


def test_training_shows_the_published_frames_with_a_seeded_anchor(data, truths):
    even = [int(place) for place in np.linspace(0, 19, 6)]
    anchors = set()
    for seed in range(12):
        source = OKVOSSource(data, "train", seed)
        for index in range(3):
            task = source[index]
            shown = [round(task.task.media[i].mean() / 10) for i in range(6)]
            (new,) = set(shown) - set(even) or {None}
            assert len(set(shown) & set(even)) == (6 if new is None else 5)
            assert shown == sorted(shown)
            visible = {i for i, frame in enumerate(shown) if truths[frame].any()}
            assert set(task.truth.frames) == visible
            assert visible
            if new is not None:
                (gone,) = set(even) - set(shown)
                assert abs(gone - new) == min(abs(place - new) for place in even)
            anchors.add(new)
            for i, frame in enumerate(shown):
                masks = task.masks(i)
                assert np.array_equal(masks[0] if masks else np.zeros((40, 60), bool), truths[frame])
    assert {3, 5, 6, 8, 9, 10, 12} & anchors
    assert anchors <= {None, *range(3, 13)} - {4}


def test_the_same_seed_and_index_are_the_same_task(data):
    first, again, other = OKVOSSource(data, seed=1), OKVOSSource(data, seed=1, n=2), OKVOSSource(data, seed=2)
    assert len(again) == 2
    assert again[1].truth == first[1].truth
    assert first[0].truth == again[0].truth
    assert any(first[i].truth != other[i].truth for i in range(3))


def test_a_target_that_is_never_seen_is_absent(data):
    for path in (data / "train/Annotations/clip/7").glob("*.png"):
        make.save(np.zeros((40, 60), np.uint8), path)
    task = OKVOSSource(data)[0]
    assert task.truth.absent
    assert task.masks(0) == ()


def test_a_palette_counts_by_index_not_by_colour(data):
    path = data / "test/Annotations/clip/7/00008.png"
    picture = PIL.Image.open(path).convert("L")
    picture = PIL.Image.frombytes("P", picture.size, picture.tobytes())
    picture.putpalette([0, 0, 0] * 254 + [255, 255, 255] + [10, 0, 0])
    before = OKVOSSource(data, "test")[0].masks(8)[0]
    picture.save(path)
    assert np.array_equal(OKVOSSource(data, "test")[0].masks(8)[0], before)


def test_a_task_travels_to_a_worker(data):
    task = pickle.loads(pickle.dumps(OKVOSSource(data)))[0]
    task = pickle.loads(pickle.dumps(task))
    assert task.task.media[0].dtype == np.uint8


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("train.parquet", "train.parquet"),
        ("train/JPEGImages/clip/00000.jpg", "00000.jpg"),
        ("train/Annotations/clip/7", "Annotations/clip/7"),
    ],
)
def test_a_missing_file_is_named_with_the_layout(data, missing, named):
    (data / missing).rename(data / "elsewhere")
    with pytest.raises(InputError, match=named) as error:
        OKVOSSource(data)[0]
    assert "JPEGImages/<video>/<stem>.jpg" in error.value.remedy


def test_broken_files_are_named(data):
    mask = data / "test/Annotations/clip/7/00008.png"
    make.save(np.zeros((10, 10), np.uint8), mask)
    with pytest.raises(MediaError, match="10x10"):
        OKVOSSource(data, "test")[0]
    mask.write_bytes(b"no picture")
    with pytest.raises(MediaError, match=r"00008\.png"):
        OKVOSSource(data, "test")[0]
    (data / "test.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"test\.parquet"):
        OKVOSSource(data, "test")
    make.write_parquet(data / "test.parquet", [{"question": "x"}])
    with pytest.raises(InputError, match="no column ability, images, oid, video"):
        OKVOSSource(data, "test")


@pytest.mark.parametrize("options", [{"seed": -1}, {"frames": 0}, {"n": 0}])
def test_bad_numbers_are_refused(data, options):
    with pytest.raises(InputError):
        OKVOSSource(data, **options)


@pytest.mark.parametrize(
    ("question", "query"),
    [
        ("Please find 'the dog' in the provided video.", "the dog"),
        ("Please find 'a's b' in the provided video", "a's b"),
        ("It rained. Please find 'the dog' in the provided video.", "It rained. the dog"),
        (" Who barks? ", "Who barks?"),
    ],
)
def test_a_question_is_unwrapped(question, query):
    assert plain_query(question) == query


@pytest.mark.parametrize("column", ["video", "oid", "images"])
@pytest.mark.parametrize("name", ["../../../private", "/private"])
def test_a_parquet_that_names_files_elsewhere_is_refused(tmp_path, column, name):
    make.ok_vos(tmp_path, "test")
    row = {"question": "q", "images": ["00000"], "ability": "one-hop", "video": "clip", "oid": "7"}
    make.write_parquet(tmp_path / "test.parquet", [row | {column: [name] if column == "images" else name}])
    with pytest.raises(InputError, match="leads out of the data set"):
        OKVOS(tmp_path)[0].masks(0)
