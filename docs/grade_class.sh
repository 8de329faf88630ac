#!/usr/bin/env bash
# A class in parts, some at a time, each in a process of its own; then all reports in one folder.
#
#     docs/grade_class.sh SUBMISSIONS LESSON SEED REPORT [PARTS] [AT_A_TIME]
#
# Run it in the clone of the course (or the folder of a homework), with tinykd on the PATH. SEED: a
# long number of your own, as the seed of a class always is. Whatever is killed, the same command
# goes on: a part that was stopped loses the submission it was on. A queue on several machines with
# a common disk runs the same lines. With Slurm, for example, these two jobs do what xargs does:
#
#     sbatch --array=1-40 --wrap 'tinykd grade SUBMISSIONS --lesson LESSON --seed SEED --jobs 1 \
#         --part $SLURM_ARRAY_TASK_ID/40 --out REPORT.parts/$SLURM_ARRAY_TASK_ID'
#     docs/grade_class.sh SUBMISSIONS LESSON SEED REPORT 40      # when it has ended: what is lacking
set -euo pipefail
export SUBMISSIONS=$1 LESSON=$2 SEED=$3 REPORT=$4 PARTS=${5:-40}
mkdir -p "$REPORT.parts" "$REPORT"

# Exit status 1 (something could not be graded) or a killed part must not stop the others.
seq "$PARTS" | xargs -P "${6:-$(getconf _NPROCESSORS_ONLN)}" -I{} bash -c '
    tinykd grade "$SUBMISSIONS" --lesson "$LESSON" --seed "$SEED" --part "{}/$PARTS" \
        --out "$REPORT.parts/{}" --jobs 1 > "$REPORT.parts/{}.log" 2>&1 || true'

# A folder of reports is its students and a class.json. Grading over it keeps every report that
# holds, grades what is lacking, and writes the tables of the whole class.
for part in "$REPORT.parts"/*/; do
    cp "$part/class.json" "$REPORT/" || echo "nothing of $part: see its .log" >&2
    cp -R "$part/students" "$REPORT/" 2>/dev/null || true  # an empty part has none
done
cat "$REPORT.parts"/*/errors.log > "$REPORT/errors.log" 2>/dev/null || rm -f "$REPORT/errors.log"
tinykd grade "$SUBMISSIONS" --lesson "$LESSON" --seed "$SEED" --out "$REPORT"
