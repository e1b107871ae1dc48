"""Third-party clients, unchanged, running the README's commands as they stand."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toolbox
from readme import block_of

pytestmark = pytest.mark.foreign

DECIDED_S_MAX = 60.0


def environment(stage, *tools: Path) -> dict[str, str]:
    """What the README tells its reader to export, and where the tools are."""
    folders = [str(tool.parent) for tool in tools] + [str(Path(sys.executable).parent)]
    return {
        **os.environ,
        "PATH": os.pathsep.join([*folders, os.environ["PATH"]]),
        "GRPC": stage.serve.address,
        "HTTP": stage.serve.http_address,
        "KAFKA": stage.parts.bootstrap,
        "TOPICS": stage.topics.prefix,
    }


def run(block: str, env: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euc", block],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def documents(text: str) -> list[dict]:
    """The JSON objects that stand one after the other in `text`."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while (start := text.find("{", at)) >= 0:
        value, at = decoder.raw_decode(text, start)
        found.append(snake(value))
    return found


def snake(value):
    """The names as the protos spell them: some clients print lowerCamelCase."""
    if isinstance(value, list):
        return [snake(each) for each in value]
    if isinstance(value, dict):
        return {
            re.sub("[A-Z]", lambda m: "_" + m[0].lower(), name): snake(each)
            for name, each in value.items()
        }
    return value


def until(find, what: str):
    """The first thing that `find` finds, or a failure that says what was awaited."""
    end = time.monotonic() + DECIDED_S_MAX
    while time.monotonic() < end:
        if (found := find()) is not None:
            return found
        time.sleep(0.5)
    pytest.fail(f"{what} did not come within {DECIDED_S_MAX:.0f} s")


@pytest.fixture(scope="module")
def by_grpcurl(embedded_doors):
    """What grpcurl printed: health, then the decision of readme-1."""
    tool = toolbox.required(toolbox.grpcurl)
    printed = run(block_of("grpcurl"), environment(embedded_doors, tool))
    return documents(printed)


def test_grpcurl_sees_health_and_a_decision_with_its_reasons(by_grpcurl):
    health, answer = by_grpcurl
    assert health == {"status": "SERVING"}
    core = answer["decision"]["core"]
    assert core["transaction_id"] == "readme-1"
    assert core["outcome"].startswith("OUTCOME_")
    assert 0 <= core["score"] <= 1
    assert core["reasons"][0]["code"]


def test_buf_curl_sees_health_and_the_same_decision(by_grpcurl, embedded_doors):
    printed = run(block_of("buf curl"), environment(embedded_doors))
    health, answer = documents(printed)
    assert health == {"status": "SERVING"}
    assert answer["decision"]["core"] == by_grpcurl[1]["decision"]["core"]


def test_curl_gets_a_decision_labels_it_and_reads_why(embedded_doors):
    printed = run(block_of("curl"), environment(embedded_doors))
    answer, labelled, explanation = documents(printed)
    assert answer["decision"]["core"]["transaction_id"] == "readme-3"
    assert answer["decision"]["core"]["reasons"][0]["code"]
    assert labelled == {"results": [{"transaction_id": "readme-3"}]}
    assert explanation["contributions"][0]["feature"]


@pytest.mark.kafka
def test_kcat_sends_a_transaction_and_reads_its_decision_as_json(kafka_doors):
    env = environment(kafka_doors, toolbox.required(toolbox.kcat))
    block = block_of("kcat")
    printed = [run(block, env)]
    read_again = block[block.rindex("kcat -b") :]

    def decided():
        for decision in documents(printed[-1]):
            if decision["core"]["transaction_id"] == "readme-2":
                return decision
        printed.append(run(read_again, env))
        return None

    decision = until(decided, "the decision of readme-2")
    assert decision["transaction"]["card"] == "card-7"
    assert decision["core"]["outcome"].startswith("OUTCOME_")


def lines_until(process: subprocess.Popen, wanted: str) -> dict:
    for line in process.stdout:
        if wanted in line:
            return documents(line)[0]
    pytest.fail(f"{wanted} did not come: {process.stderr.read()}")


def test_kafkajs_reads_decisions_as_json(by_grpcurl, embedded_doors):
    env = environment(embedded_doors)
    env["NODE_PATH"] = str(toolbox.required(toolbox.kafkajs) / "node_modules")
    block = block_of("node").replace("node -e", "exec timeout 60 node -e", 1)
    with subprocess.Popen(
        ["bash", "-euc", block],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            decision = lines_until(process, "readme-1")
        finally:
            process.terminate()
    assert decision["core"] == by_grpcurl[1]["decision"]["core"]


def test_the_chart_s_own_question_is_answered(embedded_doors):
    script = toolbox.ROOT / "helm" / "fraud-scoring" / "files" / "ask.py"
    done = subprocess.run(
        [sys.executable, script, embedded_doors.serve.address],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "is SERVING; a dry run says OUTCOME_" in done.stdout
