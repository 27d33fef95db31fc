"""Draw on a Ray cluster of two nodes, of which one is killed in the middle. Prints what came of it as JSON.

A process of its own, because Ray leaves threads and sockets behind.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import ray
from ray.cluster_utils import Cluster

from edtalk_server.engine.fake import FakeEngine
from edtalk_server.media.output_spec import OutputSpec
from edtalk_server.workers import DrawTask, Pool, WorkerSettings, encode
from edtalk_server.workers.cluster import MOST_TRIES, RayWorker, workers

TASKS, FRAMES = 12, 3


def main() -> int:
    """Draw, kill a node, draw on."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    pool_workers = workers(WorkerSettings(None, seconds_per_frame=0.05), 0, cluster.address)
    pool = Pool(pool_workers, MOST_TRIES)
    engine = FakeEngine()
    source = engine.prepare(np.random.default_rng(5).integers(0, 256, (40, 40, 3), np.uint8))
    rows = np.random.default_rng(6).normal(0, 1, (TASKS, FRAMES, engine.channels)).astype(np.float32)
    tasks = [DrawTask(source, row, OutputSpec(), "png") for row in rows]
    wanted = [[encode(frame, "png") for frame in engine.render(source, row)] for row in rows]
    with ThreadPoolExecutor(len(pool)) as drawing:
        first = list(drawing.map(pool.draw, tasks[:2]))
        places = [node_of(worker) for worker in pool_workers]
        rest = [drawing.submit(pool.draw, task) for task in tasks[2:]]
        cluster.remove_node(nodes[1], allow_graceful=False)
        drawn = [*first, *(one.result() for one in rest)]
    told = {
        "workers": len(pool),
        "nodes": len(set(places)),
        "same": drawn == wanted,
        "frames": hashlib.sha256(b"".join(image.data for images in drawn for image in images)).hexdigest(),
        "left": _left(),
    }
    pool.close()
    ray.shutdown()
    cluster.shutdown()
    print(json.dumps(told))  # noqa: T201
    return 0


def node_of(worker: RayWorker) -> Any:
    """The node on which a worker runs."""
    return ray.get(worker._actor.__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id()))


def _left() -> int:
    """Return how many nodes are left beside the head, once Ray has noticed that one is gone: that may take a while."""
    end = time.monotonic() + 60.0
    while (left := sum(node["Alive"] for node in ray.nodes()) - 1) > 1 and time.monotonic() < end:
        time.sleep(0.2)
    return left


if __name__ == "__main__":
    sys.exit(main())
