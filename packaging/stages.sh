# Sourced by ./run-tests and .ci/run, after debian.sh: says what begins, and how long each stage
# took.
# The gate hands its stages on to ./run-tests: FREEZER_STAGES has a line "SECONDS NAME" for each.

budget="15 minutes on a warm machine, 35 on a cold and slow one, tests included; never over 60"
stage_name=

# stage NAME: ends the stage before it, and begins this one.
stage() {
    end_stage
    stage_name=$1
    stage_began=$EPOCHSECONDS
    say "$1"
}

end_stage() {
    [ -n "$stage_name" ] || return 0
    FREEZER_STAGES=${FREEZER_STAGES:-}"$((EPOCHSECONDS - stage_began)) $stage_name"$'\n'
    export FREEZER_STAGES
    stage_name=
}

# print_stages: the table of the stages that have ended, their sum, and the budget.
print_stages() {
    local seconds name total=0
    say "time of each stage"
    while read -r seconds name; do
        [ -n "$seconds" ] || continue
        printf '%6d s  %s\n' "$seconds" "$name" >&2
        total=$((total + seconds))
    done <<<"${FREEZER_STAGES:-}"
    printf '%6d s  together, before the tests\n' "$total" >&2
    printf 'budget of the whole gate: %s\n' "$budget" >&2
}
