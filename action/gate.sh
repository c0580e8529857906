#!/usr/bin/env bash
# What the action runs: both sides are played, judged and told. Environment: action.yml says what
# each is; GITHUB_OUTPUT and GITHUB_STEP_SUMMARY may be left out. Ends with the gate's exit code,
# or 0 for a change of which nothing is sure where INCONCLUSIVE is "pass".
set -euo pipefail

: "${CANDIDATE:?a checkout of vLLM}" "${BASELINE:?a release, a folder or a revision}"
marsbench=${MARSBENCH:-marsbench}
folder=${FOLDER:-gate-vllm}
summary=$folder/gate.md

arguments=(--vllm "$BASELINE" --vllm-candidate "$CANDIDATE" --preset "${PRESET:-vllm-pr}")
arguments+=(--margin "${MARGIN:-2%}" -o "$folder" --markdown "$summary" --junit "$folder/gate.xml")
for metric in ${METRICS:-goodput latency}; do
    arguments+=(--metric "$metric")
done

mkdir -p "$folder"
rm -f "$summary"
code=0
"$marsbench" gate "${arguments[@]}" || code=$?

verdicts=(pass fail inconclusive error)
verdict=${verdicts[$code]:-error}
{
    echo "verdict=$verdict"
    echo "summary=$summary"
} >> "${GITHUB_OUTPUT:-/dev/null}"
if [ -f "$summary" ]; then
    cat "$summary" >> "${GITHUB_STEP_SUMMARY:-/dev/null}"
fi
if [ "$verdict" = inconclusive ] && [ "${INCONCLUSIVE:-fail}" = pass ]; then
    echo "::warning::the gate is inconclusive; more seeds would tell"
    exit 0
fi
exit "$code"
