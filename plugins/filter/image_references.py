# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which images are wanted, where each comes from, and what there is of them."""

from __future__ import annotations

import hashlib

from ansible_collections.aisha.bot_stack.plugins.module_utils.engine import host_facts


def wanted_images(names, catalogue, source, upstream, hashes):
    """From each image's name to its source (build or mirror) and its tag.

    The tag is made of what the image is made of: its sources and the base's, or upstream's
    reference. hashes is from a context of the catalogue, or `base`, to its hash. An image of the
    collection's own is built where upstream does not name it.
    """
    wanted = {}
    for name in names:
        entry = catalogue[name]
        built = source == "build" or (entry.get("own", False) and name not in upstream)
        made_of = hashes[entry["context"]] + hashes["base"] if built else upstream[name]
        wanted[name] = {
            "source": "build" if built else "mirror",
            "tag": hashlib.sha256(made_of.encode()).hexdigest()[:16],
        }
    return wanted


def image_tags(wanted, namespace):
    """From each wanted image's name to `namespace/name:tag`."""
    return {name: "%s/%s:%s" % (namespace, name, image["tag"]) for name, image in wanted.items()}


def pushed_images(digests, namespace, registry):
    """From the names of images in the registry to their references by digest."""
    return {
        name: "%s/%s/%s@%s" % (registry, namespace, name, digest)
        for name, digest in digests.items()
    }


def local_images(ids, wanted, namespace):
    """From the names of wanted images that the engine has to their IDs. ids: from host_facts.image_ids()."""
    tags = image_tags(wanted, namespace)
    return {name: ids[tag] for name, tag in tags.items() if tag in ids}


class FilterModule:
    """The filters."""

    def filters(self):
        return {
            "image_ids": host_facts.image_ids,
            "image_tags": image_tags,
            "local_images": local_images,
            "pushed_images": pushed_images,
            "wanted_images": wanted_images,
        }
