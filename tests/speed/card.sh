#!/bin/sh
# Build, CUDA tests and speed on a machine with a graphics card, in under four minutes. Results go to $OUT.
#   OUT=results tests/speed/card.sh
# Without a card it does the same on the CPU with fewer rounds, which shows that the script works.
set -eu
out=${OUT:-results}
mkdir -p "$out"
python=${PYTHON:-python3}
if ! "$python" -c "import torch, zmq, av, pytest" 2>/dev/null; then
    "$python" -m venv .venv-card
    python=.venv-card/bin/python
    "$python" -m pip install -q -e ".[dev]" >"$out/install.log" 2>&1
fi
device=$("$python" -c "import torch; print('cuda' if torch.cuda.is_available() else 'cpu')")
echo "device: $device" | tee "$out/device.txt"
failed=0
step() { # step FILE COMMAND...: run it, keep and show what it says, and go on where it fails (sh has no pipefail)
    file=$out/$1
    shift
    "$@" >"$file" 2>&1 || failed=1
    tail -40 "$file"
}
step doctor.txt "$python" -m edtalk_server.cli doctor --draw --device "$device"
step tests.txt timeout 60 "$python" -m pytest -q -x tests/unit/engine/test_engine.py tests/unit/engine/test_device_manager.py
step card.txt timeout 150 "$python" -m edtalk_server.cli bench --card --device "$device" --json "$out/card.json"
exit $failed
