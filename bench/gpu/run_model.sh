#!/usr/bin/env bash
# The outputs of a network of models.txt, in the folder that tools/gpu_bundle made.
#
# usage: ./run_model.sh OCTET MODEL BATCH DEVICE OUT.npy
set -euo pipefail
read -r _ _ preprocess _ pictures options < <(grep "^$2 " models.txt)
data=(--data data/cifar10_64.bin --limit 32 --preprocess "$preprocess")
[ "$pictures" = cifar ] || data=(--data synthetic:4)
# shellcheck disable=SC2086
"$1" run "models/$2.onnx" "${data[@]}" --batch "$3" --device "$4" --threads 0 --quiet ${options//:B/:$3} -o "$5" </dev/null >/dev/null
