#!/bin/sh
# Writes down every job that is completed, a line of JSON for each, with Debian's amqp-tools and nothing of batchbus:
#
#   sh completed.sh amqp://localhost completed.jsonl
#
# The queue lasts as long as this runs, since amqp-consume binds none that is durable. An event is acknowledged once its
# line is written, so one may come twice; its "id" says which one it is. With a number behind, it ends after so many.
set -eu
url=$1 file=$2 count=${3:-0}

exec amqp-consume --url="$url" --queue=completed --exchange=batch.events --routing-key='batch.completed.#' \
    --prefetch-count=1 --count="$count" -- sh -c 'line=$(cat) && printf "%s\n" "$line" >> "$0"' "$file"
