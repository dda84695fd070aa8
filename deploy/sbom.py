"""The bill of materials of a binary, CycloneDX 1.6 JSON: what `cargo auditable` wrote into it when it was linked, less what cargo's
resolver leaves out (the list in the binary also names crates of features that are off), with the checksums of Cargo.lock and the
licences that the crates state. The same binary gives the same bytes.

Needs cyclonedx-python-lib (conformance/supply/requirements.txt).
"""

import datetime
import json
import subprocess
import tempfile
import tomllib
import uuid
import zlib

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

# Where cargo-auditable keeps its list (its PARSING.md).
SECTION = ".dep-v0"
NAMESPACE = uuid.UUID("8d2f4f3e-6c0b-5f0e-9a51-0f7b6f0a3a77")


def linked(binary):
    """The packages that the binary says it is made of, in the order of its list."""
    with tempfile.NamedTemporaryFile() as section:
        subprocess.run(["objcopy", "-O", "binary", "--only-section", SECTION, "--set-section-flags", f"{SECTION}=alloc", binary, section.name], check=True)
        compressed = section.read()
    if not compressed:
        raise SystemExit(f"{binary} has no list of its crates: it was not built by cargo auditable")
    return json.loads(zlib.decompress(compressed))["packages"]


def resolved(root):
    """Names and versions that cargo builds for the program, tests' dependencies apart."""
    tree = ("cargo", "tree", "--package", "hufu-app", "--edges", "normal,build", "--locked", "--prefix", "none", "--format", "{p}")
    told = subprocess.run(tree, cwd=root, check=True, capture_output=True, text=True).stdout
    return {(words[0], words[1].removeprefix("v")) for words in map(str.split, told.splitlines()) if words}


def checksums(root):
    lock = tomllib.loads((root / "Cargo.lock").read_text())["package"]
    return {(package["name"], package["version"]): package.get("checksum") for package in lock}


def licences(root):
    told = subprocess.run(["cargo", "metadata", "--format-version", "1", "--locked"], cwd=root, check=True, capture_output=True)
    return {(package["name"], package["version"]): package["license"] for package in json.loads(told.stdout)["packages"]}


def component(package, checksum, licence):
    name, version = package["name"], package["version"]
    purl = PackageURL("cargo", None, name, version)
    return Component(
        type=ComponentType.APPLICATION if package.get("root") else ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=str(purl),
        purl=purl,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else [],
        # Older crates write "A/B" where SPDX says "A OR B".
        licenses=[LicenseFactory().make_with_expression(licence.replace("/", " OR "))] if licence else [],
        properties=[Property(name="cargo:kind", value=package.get("kind", "runtime"))],
    )


def document(root, binary, binary_sha256, epoch):
    """The document's text."""
    packages, built, sums, terms = linked(binary), resolved(root), checksums(root), licences(root)
    names = [(package["name"], package["version"]) for package in packages]
    if missing := built - set(names):
        raise SystemExit(f"{binary} does not name what it was built from: {sorted(missing)}")
    made = [component(package, sums.get(at), terms.get(at)) for package, at in zip(packages, names)]
    bom = Bom(serial_number=uuid.uuid5(NAMESPACE, binary_sha256))
    bom.metadata.timestamp = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc)
    for package, at, own in zip(packages, names, made):
        if at not in built:
            continue
        if package.get("root"):
            own.hashes.add(HashType(alg=HashAlgorithm.SHA_256, content=binary_sha256))
            bom.metadata.component = own
        else:
            bom.components.add(own)
        bom.register_dependency(own, [made[other] for other in package.get("dependencies", []) if names[other] in built])
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"
