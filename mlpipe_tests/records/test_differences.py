"""What is otherwise than it was: named, with both values, the decisive first."""

from mlpipe.records.differences import Difference, leaves, of_code, of_environment, of_params
from mlpipe.records.record import Code, Environment


def test_versions_kernels_and_threads_are_decisive_and_the_host_is_none_of_it() -> None:
    then = Environment(
        packages={"numpy": "2.1", "dagster": "1.1"},
        blas="a",
        threads={"OMP_NUM_THREADS": ""},
        host="x",
        platform="l",
    )
    now = Environment(
        packages={"numpy": "2.2", "dagster": "1.2"},
        blas="b",
        threads={"OMP_NUM_THREADS": "2"},
        host="y",
        platform="l",
    )
    assert of_environment(then, now) == [
        Difference("blas", "a", "b", True),
        Difference("packages.numpy", "2.1", "2.2", True),
        Difference("threads.OMP_NUM_THREADS", "", "2", True),
        Difference("packages.dagster", "1.1", "1.2", False),
    ]
    assert of_environment(then, then.model_copy(update={"host": "z", "id": "1"})) == []


def test_functions_are_compared_by_name_wherever_their_file_lay() -> None:
    then = Code(
        stage_version="1", fingerprints={"mlpipe_user__home_a_f_py.made": "1" * 40, "shop.x": "2" * 40}
    )
    now = Code(stage_version="2", fingerprints={"mlpipe_user__tmp_b_f_py.made": "1" * 40, "shop.x": "3" * 40})
    assert [d.name for d in of_code(then, now)] == ["function shop.x", "stage_version"]


def test_parameters_are_compared_leaf_by_leaf_and_newer_ones_are_no_difference() -> None:
    then = {"model": {"C": 1.0, "steps": [1, 2]}, "left_out": {"a": "b"}}
    now = {"model": {"C": 1.0, "steps": [1, 3]}, "more": 1, "left_out": {}}
    assert of_params(then, now, ("left_out",)) == [Difference("model.steps.1", "2", "3", True)]
    assert dict(leaves({"a": {}, "b": []})) == {"a": {}, "b": []}
