# The words that hooks of a scene have. They are put in front of each, with `hook`, its name, and
# `server`, the path of echo-target, in the folder of the scene.

service=$DORMOUSE_SERVICE
echo "$service $hook ${DORMOUSE_CAUSE:-}${DORMOUSE_ATTEMPT:+attempt $DORMOUSE_ATTEMPT}" >> hooks.log

# launch [MODE [FILE]]: starts the server in the background.
launch() {
    "$server" "$DORMOUSE_TARGET_HOST:$DORMOUSE_TARGET_PORT" "$service.journal" "$@" > /dev/null 2>&1 &
    echo $! > "$service.pid"
}

# halt: ends the server, if there is one, and waits for its end.
halt() {
    [ -e "$service.pid" ] || return 0
    pid=$(cat "$service.pid")
    kill -9 "$pid" 2> /dev/null
    while is_running; do sleep 0.01; done
}

# A process listens for as long as one of its threads is there, whatever became of the first.
is_running() {
    for thread in "/proc/$pid/task/"*; do
        case "$(cat "$thread/stat" 2> /dev/null)" in
            '' | *') Z '* | *') X '*) ;;
            *) return 0 ;;
        esac
    done
    return 1
}

# await_file FILE: waits until it is there.
await_file() {
    while [ ! -e "$1" ]; do sleep 0.01; done
}

