"""The running service held to its own description: schemathesis draws requests from /openapi.json and judges every answer.

No answer may be a failure of the server, have a status or a media type that is not told, or a body that its schema refuses.
Needs HUFU_READY, the file that `hufu demo --ready-file` writes. HUFU_TIMES makes a run as many times longer; HUFU_SEED repeats
one."""

import copy
import json
import os
import re
import secrets
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import jsonschema_rs

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance"
# Requests an operation, beside the edges of every parameter; drawing goes on until an address's seconds are spent.
EXAMPLES = int(os.environ.get("HUFU_EXAMPLES", "25"))
# Long runs multiply the seconds.
TIMES = int(os.environ.get("HUFU_TIMES", "1"))
# There only where a sandbox's persona agent keeps sessions: elsewhere the router answers 405 itself.
ELSEWHERE = ["get_complete", "get_refuse"]


# Sound messages that the program's own parsers take (crates/wire/tests/it/fuzz_messages.rs), and what the document calls them.
SAMPLES = Path(__file__).resolve().parent.parent.parent / "crates/wire/tests/it/samples/messages"
NAMES = {
    "ticket": "Ticket", "start": "StartEnrolment", "face": "FaceStep", "phone": "PhoneStep", "code": "CodeStep", "device": "DeviceStep",
    "confirm": "ConfirmStep", "view": "EnrolmentView", "enrol-device": "EnrolDevice", "enrol-password": "EnrolPassword",
    "recover": "RecoverStep", "statement": "Statement", "statement-certificates": "Statement", "submit": "SubmitStatement",
    "submit-holder": "SubmitStatement", "accepted": "StatementAccepted", "reports": "SubmitReports", "finish-signing": "FinishSigning",
    "open-holder": "OpenHolder", "read-row": "ReadRow", "row": "RowView", "pass": "BeginPass", "transaction": "Transaction",
    "begin": "BeginSignIn", "evaluate-password": "EvaluatePassword", "finish": "FinishSignIn", "complete": "CompleteSignIn",
    "complete-handle": "CompleteSignIn", "offer": "SignInOffer", "id-token": "IdToken", "id-token-handle": "IdToken",
}  # fmt: skip


def agreed(document):
    """The document's schemas take what the program takes, and refuse it with a member too many or one too few."""
    refused = []
    for file, name in NAMES.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        judge = jsonschema_rs.Draft202012Validator(schema)
        sample = json.loads((SAMPLES / f"{file}.json").read_text())
        short = dict(list(sample.items())[1:])
        sound = judge.is_valid(sample) and not judge.is_valid(short)
        # Tokens may say more in a later version; messages may not.
        if name != "IdToken":
            sound = sound and not judge.is_valid({**sample, "stranger": 1})
        if not sound:
            refused.append(f"{file}: {[error.message for error in judge.iter_errors(sample)]}")
    if refused:
        sys.exit("FAILED: schemas and parsers disagree: " + "; ".join(refused))
    print(f"== schemas take {len(NAMES)} sound messages, and none with a member too many or too few", flush=True)


def plain(address):
    """Names below localhost are this machine's (RFC 6761 section 6.3), which not every resolver knows."""
    return re.sub(r"^http://[a-z0-9.-]+\.localhost:", "http://localhost:", address)


def groups(ready, document):
    """Address, tags of what is answered there, and seconds. No tag of the document may be left out."""
    addresses = [
        (ready["issuer"], ["platforms", "browsers", "wallet", "docs"], 35),
        (ready["nodes"][0], ["nodes"], 30),
        (ready["registrar"], ["registrar"], 20),
        (ready["wallet"], ["pins"], 3),
        (ready["issuer"], ["operators"], 3),
    ]
    told = {tag["name"] for tag in document["tags"]}
    held = {tag for _, tags, _ in addresses for tag in tags}
    if told != held:
        sys.exit(f"tags of the document that are held to nothing, or the other way: {sorted(told ^ held)}")
    return [(plain(address), tags, seconds * TIMES) for address, tags, seconds in addresses]


def judged(file, address, chosen, seconds, seed, ready):
    """Whether every answer of the chosen operations is as the document in the file says."""
    asked = [Path(sys.executable).parent / "st", "run", file, "--url", address, "--checks", CHECKS, "--seed", seed]
    asked += ["--max-examples", EXAMPLES, "--max-time", seconds, "--phases", "examples,coverage,fuzzing"]
    asked += ["--max-redirects", 0, "--request-timeout", 20, "--generation-database", "none", "--no-color", "--warnings", "off"]
    asked += ["--suppress-health-check", "all", "--workers", 2, *chosen]
    for name in ELSEWHERE:
        asked += ["--exclude-operation-id", name]
    # Metrics are counted at an address of their own.
    asked += ["--exclude-path", "/metrics"]
    if ready.get("ca"):
        asked += ["--tls-verify", ready["ca"]]
    return subprocess.run([str(part) for part in asked], cwd=file.parent, timeout=seconds * 3 + 60).returncode == 0


def control(document, folder, address, seed, ready):
    """A document that leaves a status out must be found wanting."""
    spoilt = copy.deepcopy(document)
    for status in ("400", "401"):
        spoilt["paths"]["/token"]["post"]["responses"].pop(status)
    file = Path(folder, "spoilt.json")
    file.write_text(json.dumps(spoilt))
    print("== control: a document without two statuses of /token", flush=True)
    if judged(file, address, ["--include-path", "/token"], 4, seed, ready):
        sys.exit("FAILED: a status that is not told was not noticed")
    print("== control: noticed, as it should be", flush=True)


def main():
    ready = json.loads(Path(os.environ["HUFU_READY"]).read_text())
    seed = int(os.environ.get("HUFU_SEED") or secrets.randbelow(2**32))
    context = ssl.create_default_context(cafile=ready.get("ca"))
    with urllib.request.urlopen(f"{ready['issuer']}/openapi.json", context=context) as answer:
        document = json.load(answer)
    agreed(document)
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "openapi.json")
        file.write_text(json.dumps(document))
        for address, tags, seconds in groups(ready, document):
            print(f"== {', '.join(tags)} at {address}, seed {seed}", flush=True)
            chosen = [part for tag in tags for part in ("--include-tag", tag)]
            if not judged(file, address, chosen, seconds, seed, ready):
                failed.append(tags)
        control(document, folder, ready["issuer"], seed, ready)
    # What was drawn must have left the service able to work.
    with urllib.request.urlopen(f"{ready['issuer']}/readyz", context=context) as answer:
        assert answer.status == 200
    if failed:
        sys.exit(f"FAILED: {failed}; HUFU_SEED={seed} repeats it")
    print(f"ok: every answer is as told, seed {seed}")


if __name__ == "__main__":
    main()
