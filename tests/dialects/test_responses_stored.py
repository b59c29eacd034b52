"""OpenAI's Responses: what is stored, listed and deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai._models import validate_type
from openai.types.responses import (
    InputTokenCountResponse,
)

from dialects.examples.openai.written_responses import (
    CALL,
    RESULT,
    TARGET,
)
from dialects.responses_asking import (
    FULL,
    PAGE,
    VALID,
    answer,
    ask,
    plain,
    refused,
    reply,
    stream,
    told,
)
from llmproxy.answer import Reasoning, Text, ToolCall
from llmproxy.dialects.openai.responses import RESPONSES, read_prompt, write_body
from llmproxy.dialects.openai.responses_stream import write_stream
from llmproxy.dialects.operation import Call, Refused, encode
from llmproxy.prompt import Message
from means import make_call, make_means

# ---- what is stored


def test_a_stored_response_is_retrieved_as_it_was_said() -> None:
    stored: dict[str, bytes] = {}
    whole = reply({"input": "hi"}, Text("x"), stored=stored)
    assert plain("GET", f"{TARGET}/{whole['id']}", stored).body == whole
    streamed = told(stream({"input": "hi", "stream": True}, Text("x"), stored=stored))[-1][
        "response"
    ]
    assert plain("GET", f"{TARGET}/{streamed['id']}?stream=false", stored).body == streamed


def test_a_response_is_stored_before_its_last_event_leaves() -> None:
    stored: dict[str, bytes] = {}
    prompt, means = ask({"stream": True}, stored=stored)
    frames = write_stream(prompt, answer(Text("x")), means)
    for frame in frames:
        if b"response.completed" in frame.data:
            break
        assert not stored
    assert stored


def test_nothing_is_stored_where_the_request_says_so() -> None:
    stored: dict[str, bytes] = {}
    reply({"store": False}, Text("x"), stored=stored)
    stream({"store": False, "stream": True}, Text("x"), stored=stored)
    assert stored == {}


def test_a_chain_of_responses_is_one_conversation() -> None:
    stored: dict[str, bytes] = {}
    one = reply({"input": "2+2?", "instructions": "Be brief."}, Text("4"), stored=stored)
    _rename(stored, one["id"], "resp_first")
    two = reply(
        {"input": [{"role": "user", "content": "3+3?"}], "previous_response_id": "resp_first"},
        Reasoning("hm"),
        ToolCall("f", '{"a":"b"}'),
        stored=stored,
    )
    call_id = two["output"][1]["call_id"]
    prompt, _ = ask(
        {
            "input": [{"type": "function_call_output", "call_id": call_id, "output": "6"}],
            "previous_response_id": two["id"],
        },
        stored=stored,
    )
    assert prompt.messages == (
        Message("user", "2+2?"),
        Message("assistant", "4"),
        Message("user", "3+3?"),
        Message("assistant", calls=(ToolCall("f", '{"a":"b"}', call_id),)),
        Message("tool", "6", answers=call_id),
    )


def _rename(stored: dict[str, bytes], before: str, after: str) -> None:
    """Ids of a test are counted anew in each request, so the first response gets another."""
    stored[after] = stored.pop(before).replace(before.encode(), after.encode())


def test_a_call_of_the_chain_that_got_no_result_is_refused() -> None:
    stored: dict[str, bytes] = {}
    one = reply({"input": "2+2?"}, ToolCall("f", "{}"), stored=stored)
    with pytest.raises(Refused, match="No tool output found for function call call_"):
        ask({"input": "and now?", "previous_response_id": one["id"]}, stored=stored)


def test_where_replies_were_recorded_an_unknown_id_is_trusted() -> None:
    prompt, _ = ask({"input": [RESULT], "previous_response_id": "resp_recorded"}, trusting=True)
    assert prompt.messages == (Message("tool", "4", answers="call_1"),)
    prompt, _ = ask({"input": [{"type": "item_reference", "id": "msg_r"}, RESULT], "conversation": "c"}, trusting=True)  # fmt: skip
    assert prompt.has_tool_result


def test_a_chain_that_names_itself_ends() -> None:
    record = {
        "response": {"id": "resp_a", "output": [], "previous_response_id": "resp_a"},
        "input": "x",
    }
    prompt, _ = ask({"previous_response_id": "resp_a"}, stored={"resp_a": encode(record)})
    assert prompt.messages == (Message("user", "x"),)


def test_a_reference_stands_for_the_item_of_an_earlier_response() -> None:
    stored: dict[str, bytes] = {}
    one = reply({"input": "hi"}, Text("four"), ToolCall("f", "{}"), stored=stored)
    message, call = one["output"]
    items = [
        {"role": "user", "content": "hi"},
        {"type": "item_reference", "id": message["id"]},
        {"id": call["id"]},
        {**RESULT, "call_id": call["call_id"]},
    ]
    prompt, _ = ask({"input": items}, stored=stored)
    assert prompt.messages[1].text == "four"
    assert prompt.messages[1].calls[0].name == "f"


def test_a_deleted_response_is_gone_with_all_that_belongs_to_it() -> None:
    stored: dict[str, bytes] = {}
    body = {"background": True, "stream": True}
    response = told(stream(body, *FULL, stored=stored))[-1]["response"]
    gone = plain("DELETE", f"{TARGET}/{response['id']}", stored)
    assert gone.body == {"id": response["id"], "object": "response", "deleted": True}
    assert stored == {}
    assert refused("GET", f"{TARGET}/{response['id']}", stored).status == 404


def test_an_item_is_no_response() -> None:
    stored: dict[str, bytes] = {}
    item = reply({}, Text("x"), stored=stored)["output"][0]
    assert refused("GET", f"{TARGET}/{item['id']}", stored).status == 404


def test_only_a_response_in_the_background_can_be_cancelled() -> None:
    stored: dict[str, bytes] = {}
    id = reply({}, Text("x"), stored=stored)["id"]
    assert refused("POST", f"{TARGET}/{id}/cancel", stored).status == 400
    whole = reply({"background": True}, Text("x"), stored=stored)
    assert plain("POST", f"{TARGET}/{whole['id']}/cancel", stored).body == whole


def test_the_stream_of_a_background_response_is_told_again_from_any_event() -> None:
    stored: dict[str, bytes] = {}
    frames = stream({"background": True, "stream": True}, Text("One two three"), stored=stored)
    target = f"{TARGET}/{told(frames)[-1]['response']['id']}?stream=true"
    again = plain("GET", target, stored)
    assert again.content_type.startswith("text/event-stream")
    assert again.body == b"".join(frame.data for frame in frames)
    later = plain("GET", f"{target}&starting_after=4", stored)
    assert later.body == b"".join(frame.data for frame in frames[5:])
    assert plain("GET", f"{target}&starting_after=999", stored).body == b""
    assert refused("GET", f"{target}&starting_after=x", stored).param == "starting_after"


def test_a_response_that_was_not_in_the_background_cannot_be_streamed_again() -> None:
    stored: dict[str, bytes] = {}
    id = told(stream({"stream": True}, Text("x"), stored=stored))[-1]["response"]["id"]
    problem = refused("GET", f"{TARGET}/{id}?stream=true", stored)
    assert (problem.status, problem.param) == (400, "stream")


ITEMS = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"},
    {"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/x"}]},
    CALL,
    RESULT,
]


def listing(query: str = "", items: Any = ITEMS) -> dict[str, Any]:
    stored: dict[str, bytes] = {}
    id = reply({"input": items}, Text("x"), stored=stored)["id"]
    body: dict[str, Any] = plain("GET", f"{TARGET}/{id}/input_items?{query}", stored).body
    return body


def test_input_items_are_listed_last_first_each_as_the_strict_sdk_wants_it() -> None:
    page = listing()
    validate_type(type_=PAGE, value=page)
    assert [item["type"] for item in page["data"]] == [
        *("function_call_output", "function_call", "message", "message", "message")
    ]
    assert page["data"][-1]["content"] == [{"type": "input_text", "text": "a"}]
    assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
    assert page["has_more"] is False


def test_input_items_come_in_pages() -> None:
    whole = listing("order=asc")["data"]
    one = listing("order=asc&limit=2")
    two = listing(f"order=asc&limit=3&after={one['last_id']}")
    assert one["data"] + two["data"] == whole
    assert (one["has_more"], two["has_more"]) == (True, False)


def test_a_string_is_listed_as_one_message_and_no_input_as_an_empty_page() -> None:
    assert listing(items="hi")["data"][0]["content"] == [{"type": "input_text", "text": "hi"}]
    empty: dict[str, Any] = {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
    assert listing(items=None) == empty


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "order=up", "after=msg_x"])
def test_a_page_that_cannot_be_is_refused(query: str) -> None:
    with pytest.raises(Refused) as caught:
        listing(query)
    assert caught.value.problem.param == query.partition("=")[0]


def test_input_tokens_are_those_of_the_prompt_with_its_history() -> None:
    stored: dict[str, bytes] = {}
    id = reply({"input": "A longer text to count"}, Text("x"), stored=stored)["id"]
    target = f"{TARGET}/input_tokens"
    alone = plain("POST", target, stored, {"input": "hi"}).body
    with_history = plain("POST", target, stored, {"input": "hi", "previous_response_id": id}).body
    validate_type(type_=InputTokenCountResponse, value=alone)
    assert 0 < alone["input_tokens"] < with_history["input_tokens"]


def test_a_compacted_conversation_keeps_what_the_user_said() -> None:
    items = [*ITEMS[:2], {"role": "user", "content": "c"}]
    body = {"model": "gpt-4o", "input": items}
    made = plain("POST", f"{TARGET}/compact", {}, body).body
    assert made["object"] == "response.compaction"
    assert [item["type"] for item in made["output"]] == ["message", "message", "compaction"]
    assert made["usage"]["input_tokens"] > made["usage"]["output_tokens"] > 0
    prompt, _ = ask({"input": [*made["output"], {"role": "user", "content": "d"}]})
    assert [message.text for message in prompt.messages] == ["a", "c", "d"]


def test_operations_have_names_of_their_own() -> None:
    assert len({operation.name for operation in RESPONSES}) == len(RESPONSES)


def test_the_call_is_not_changed_by_its_answer() -> None:
    body = json.loads(json.dumps(VALID))
    call: Call = make_call(TARGET, body)
    prompt = read_prompt(call)
    write_body(prompt, answer(*FULL), make_means(call))
    list(write_stream(prompt, answer(*FULL), make_means(call)))
    assert body == VALID
