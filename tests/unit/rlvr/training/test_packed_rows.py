"""Samples on their way through TransferQueue (rlvr.training.packed_rows)."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tensordict import NonTensorStack
from transfer_queue.storage.managers.base import StorageManagerFactory
from transfer_queue.storage.managers.simple_storage_manager import AsyncSimpleStorageManager
from transfer_queue.utils.zmq_utils import ZMQMessage, ZMQRequestType

from rlvr import plugin  # noqa: F401
from rlvr.training import packed_rows
from rlvr.training.packed_rows import BLOCKS, PackedStorageManager, PackedStorageUnit, packed, unpacked

TYPES = st.sampled_from([torch.int64, torch.float32, torch.bfloat16, torch.bool])


@st.composite
def rows(draw: st.DrawFn) -> list[torch.Tensor]:
    """Rows that go together: (length, *inner), or numbers."""
    kind = draw(TYPES)
    if draw(st.booleans()):
        return [torch.tensor(draw(st.integers(0, 9))).to(kind) for _ in range(draw(st.integers(1, 6)))]
    inner = draw(st.lists(st.integers(1, 3), max_size=2))
    lengths = draw(st.lists(st.integers(0, 7), min_size=1, max_size=6))
    return [torch.randint(0, 9, (length, *inner)).to(kind) for length in lengths]


def message(kind: str, **body: object) -> ZMQMessage:
    """As it arrives: after TransferQueue's own encoding."""
    request = ZMQMessage.create(ZMQRequestType[kind], sender_id="a test", body=body)
    return ZMQMessage.deserialize([bytes(frame) for frame in request.serialize()])


def same(left: list, right: list) -> bool:
    return len(left) == len(right) and all(
        one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
        for one, other in zip(left, right)
    )


@given(rows())
def test_rows_come_out_as_they_went_in(given_rows):
    sent = message("PUT_DATA", data={"field": packed(given_rows)})
    assert same(unpacked(sent.body["data"]["field"]), given_rows)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=6), st.lists(st.integers(1, 3), max_size=2), TYPES)
def test_rows_that_lie_end_to_end_are_not_taken_apart(lengths, inner, kind):
    given_rows = [torch.randint(0, 9, (length, *inner)).to(kind) for length in lengths]
    values, offsets = torch.cat(given_rows), torch.tensor([0, *lengths]).cumsum(0)
    jagged = torch.nested.nested_tensor_from_jagged(values, offsets)
    whole = PackedStorageManager._select_by_positions(jagged, list(range(len(lengths))))
    assert whole is jagged
    field = packed(whole)
    assert field[BLOCKS][0][0].data_ptr() == values.data_ptr()
    assert same(unpacked(field), given_rows)


def test_rows_of_several_units_are():
    jagged = torch.nested.nested_tensor([torch.arange(3), torch.arange(1), torch.arange(2)], layout=torch.jagged)
    some = PackedStorageManager._select_by_positions(jagged, [0, 2])
    assert same(unpacked(packed(some)), [torch.arange(3), torch.arange(2)])


def test_views_of_longer_rows_are_no_jagged_fields():
    view = torch.nested.narrow(
        torch.arange(12).view(3, 4), 1, torch.tensor([0, 1, 0]), torch.tensor([2, 3, 1]), torch.jagged
    )
    assert packed(view) is view


@pytest.mark.parametrize("jagged", [True, False])
@given(lengths=st.lists(st.integers(0, 40), min_size=2, max_size=20), inner=st.lists(st.integers(1, 3), max_size=1))
def test_blocks_are_as_big_as_they_may_be(jagged, lengths, inner):
    given_rows = [torch.randint(0, 9, (length, *inner)) for length in lengths]
    field = torch.nested.nested_tensor_from_jagged(torch.cat(given_rows), torch.tensor([0, *lengths]).cumsum(0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_rows, "BLOCK_BYTES", 256)
        blocks = packed(field if jagged else given_rows)[BLOCKS]
    assert same(unpacked({BLOCKS: blocks}), given_rows)
    sizes = [values.nbytes for values, _ in blocks]
    assert all(size <= 256 or len(of_rows) == 1 for size, (_, of_rows) in zip(sizes, blocks))
    first = [given_rows[sum(len(rows) for _, rows in blocks[:number])].nbytes for number in range(1, len(blocks))]
    assert all(size + following > 256 for size, following in zip(sizes, first))


def test_a_field_is_a_buffer_and_its_lengths():
    many = [torch.arange(length) for length in range(1, 100)]
    request = ZMQMessage.create(ZMQRequestType.PUT_DATA, sender_id="a test", body={"data": {"field": packed(many)}})
    assert len(request.serialize()) < 10


OTHERS = {
    "texts": ["a", "b"],
    "nothing": [],
    "one row": [torch.arange(3)],
    "a row missing": [torch.arange(3), None],
    "two types": [torch.arange(3), torch.rand(3)],
    "a number and a row": [torch.arange(3), torch.tensor(1)],
    "other inner shapes": [torch.rand(3, 2), torch.rand(3, 1)],
    "a stack": NonTensorStack("a", "b"),
    "a tensor": torch.rand(3, 2),
    "a dict": {"a": 1},
}


@pytest.mark.parametrize("field", OTHERS.values(), ids=OTHERS.keys())
def test_what_does_not_go_together_stays_as_it_is(field):
    assert packed(field) is field
    assert unpacked(field) is field


@pytest.fixture(scope="module")
def unit():
    """One for all: it takes seconds to end."""
    unit = PackedStorageUnit({})
    yield unit
    unit.shutdown()


def put(unit: PackedStorageUnit, indexes: list[int], **fields: object) -> ZMQMessage:
    data = {name: packed(field) for name, field in fields.items()}
    return unit._handle_put(message("PUT_DATA", global_indexes=indexes, data=data))


def get(unit: PackedStorageUnit, indexes: list[int], *fields: str) -> dict[str, list]:
    answer = unit._handle_get(message("GET_DATA", global_indexes=indexes, fields=list(fields)))
    answer = ZMQMessage.deserialize([bytes(frame) for frame in answer.serialize()])
    return {name: unpacked(field) for name, field in answer.body["data"].items()}


@given(given_rows=rows(), random=st.randoms())
def test_a_unit_gives_back_any_rows_in_any_order(unit, given_rows, random):
    indexes = random.sample(range(100), len(given_rows))
    names = [f"text {index}" for index in indexes]
    put(unit, indexes, field=given_rows, name=names)
    wanted = random.sample(indexes, random.randint(1, len(indexes)))
    found = get(unit, wanted, "field", "name")
    assert same(list(found["field"]), [given_rows[indexes.index(index)] for index in wanted])
    assert found["name"] == [f"text {index}" for index in wanted]


def test_a_row_holds_no_memory_of_its_neighbours(unit):
    put(unit, [0, 1], field=[torch.arange(2), torch.arange(1000)])
    kept = unit.storage_data.field_data["field"][0]
    assert kept.untyped_storage().nbytes() == 2 * 8


def test_a_unit_takes_what_is_not_packed(unit):
    put(unit, [0, 1], field=torch.tensor([[1, 2], [3, 4]]), other=[torch.arange(2), torch.rand(1)])
    found = get(unit, [1, 0], "field", "other")
    assert same(list(found["field"]), [torch.tensor([3, 4]), torch.tensor([1, 2])])
    assert found["other"][1].tolist() == [0, 1]


def test_an_unknown_row_is_an_error_and_no_field(unit):
    put(unit, [0, 1], field=[torch.arange(2), torch.arange(3)])
    answer = unit._handle_get(message("GET_DATA", global_indexes=[0, 1000], fields=["field"]))
    assert answer.request_type == ZMQRequestType.GET_ERROR
    assert "1000" in answer.body["message"]


def test_transfer_queue_takes_it_for_its_simple_storage():
    assert StorageManagerFactory._registry["SimpleStorage"] is PackedStorageManager
    assert issubclass(PackedStorageManager, AsyncSimpleStorageManager)
