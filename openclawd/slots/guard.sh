#!/bin/sh
# What a supervisor starts in the place of openclawd. It starts the current version; while that is on trial and
# has died, it goes back to the version before, first.
#
#     guard gateway [...]          the gateway, with its flags (ExecStart=, ProgramArguments)
#     guard settle                 decide and start nothing: for root, where the service's own user may not
#                                  write here (ExecStartPre=+)
#     guard stopped [--user] UNIT  after the gateway ended (ExecStopPost=): see `stopped` below
#
# It is a shell script because it has to run where the new version does not: with no library of ours, no
# interpreter that came with a version, on any machine, and so that it can be read on the machine. Where no trial
# is under way, that is nearly always, it starts no other program.
#
# The file update/trial is `key=value` lines: from, to, starts, began, window, word (slots/trial.py has their
# meanings). Every step leaves a `current` that leads to one of the two versions, so a power cut between any two
# is no harm, and what a power cut takes back costs one more start of the new version, no more.
set -u
case $0 in
    */*) root=${0%/*} ;;
    *) root=. ;;
esac
trial=$root/update/trial
# Its own tools are found without a PATH, too; the gateway gets the one that was given.
system_path=${PATH:+$PATH:}/usr/bin:/bin:/usr/sbin:/sbin

say() {
    printf 'openclawd guard: %s\n' "$*" >&2
}

# Whether a version could be executed. An empty file could, too: a shell takes it for a script that is well.
runs() {
    [ -f "$1/openclawd" ] && [ -x "$1/openclawd" ] && [ -s "$1/openclawd" ]
}

is_version() {
    case $1 in
        '' | [!0-9A-Za-z]* | *[!0-9A-Za-z.+_-]*) return 1 ;;
    esac
}

read_trial() {
    from='' to='' starts=0 began='' word='' ended=''
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
            from=*) from=${line#from=} ;;
            to=*) to=${line#to=} ;;
            starts=*) starts=${line#starts=} ;;
            began=*) began=${line#began=} ;;
            word=*) word=${line#word=} ;;
            ended=*) ended=${line#ended=} ;;
        esac
    done <"$trial"
    case $starts in
        [1-9]) ;;
        *) starts=0 ;;
    esac
    is_version "$from" && is_version "$to" && [ "$from" != "$to" ]
}

# What a judge who may not write here has left: that the version is well, or why it is not. Those are the words
# of the service's user, for root's terminal.
read_word() {
    told='' against=''
    if [ -n "$word" ] && [ -f "$word" ] && IFS= read -r told <"$word"; then
        case $told in
            "$to $began "*[![:print:]]*) against='it was judged not to be well' ;;
            "$to $began "?*) against=${told#"$to $began "} ;;
        esac
    else
        told=''
    fi
}

# The version that `current` leads to, if it does.
current() {
    leads_to=$(readlink "$root/current") && echo "${leads_to##*/}"
}

# Have `current` or `previous` lead to a version, in one step: `point LINK VERSION`.
point() {
    link=$root/.$1.guard
    rm -f "$link"
    ln -s "versions/$2" "$link" || return 1
    # Unless it is told not to, mv puts the link into the folder that the other one leads to. GNU and busybox are
    # told so in one way, BSD and macOS in another; where neither is known, it takes two steps.
    mv -fT "$link" "$root/$1" 2>/dev/null || mv -fh "$link" "$root/$1" 2>/dev/null || {
        rm -f "$link"
        ln -sfn "versions/$2" "$root/$1"
    }
    [ "$(readlink "$root/$1")" = "versions/$2" ]
}

# The gateway has judged itself: what an updater would have done then.
keep() {
    point previous "$from"
    told="{\"from\":\"$from\",\"to\":\"$to\",\"outcome\":\"confirmed\",\"atMs\":$(date +%s)000,\"by\":\"gateway\"}"
    echo "$told" >"$root/update/.last.guard" && mv -f "$root/update/.last.guard" "$root/update/last.json"
    rm -f "$trial"
    say "$to was well; it stays"
}

# The trial is over, and this is why: `set_aside OUTCOME REASON`.
set_aside() {
    {
        cat "$trial"
        echo "outcome=$1"
        printf 'reason=%s\n' "$2"
        echo by=guard
        echo "at=$(date +%s)"
    } >"$root/update/.failed.guard" && mv -f "$root/update/.failed.guard" "$root/update/failed"
    rm -f "$trial"
}

# Let the trial have so many more supervised starts.
write_starts() {
    new=$root/update/.trial.guard
    grep -v '^starts=' "$trial" >"$new" && echo "starts=$1" >>"$new" && mv -f "$new" "$trial" &&
        grep -qx "starts=$1" "$trial"
}

go_back() {
    if ! runs "$root/versions/$from"; then
        say "$to is not well ($1), and $from is not here any more"
        set_aside failed "$1; $from is not here any more"
    elif point current "$from"; then
        set_aside rolled-back "$1"
        say "$to was rolled back to $from: $1"
    else
        say "$to is not well ($1), and $from could not be put in its place"
        return 1
    fi
}

# A judge of the old version, for when the updater died, too; where it lives, another one ends at once. Its
# parent ends, so that nobody has to wait for it; it is not the process that the supervisor means.
start_judge() {
    (
        unset NOTIFY_SOCKET WATCHDOG_PID WATCHDOG_USEC LISTEN_PID LISTEN_FDS LISTEN_FDNAMES
        # launchd kills a dead job's process group; the judge gets one of its own, where the shell can do so.
        case ${XPC_SERVICE_NAME-} in
            '' | 0 | application.*) ;;
            *) set -m 2>/dev/null ;;
        esac
        "$root/versions/$from/openclawd" update judge </dev/null >/dev/null 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
    )
}

# Decide what the next start runs.
settle() {
    if ! read_trial; then
        say "$trial cannot be understood; $(current) is started"
        set_aside failed 'the file of the trial could not be understood'
        return
    fi
    case $(current) in
        "$to")
            read_word
            if [ "$told" = "$to $began" ]; then
                keep
            elif ! runs "$root/current"; then
                go_back 'its program is missing'
            elif [ -n "$against" ]; then
                go_back "$against"
            elif [ "$starts" = 0 ]; then
                go_back "it ended before it was known to be well${ended:+ ($ended)}"
            elif write_starts "$((starts - 1))"; then
                say "$to is on trial"
                [ "$1" = settle ] || start_judge
            else
                go_back 'its starts cannot be counted: nothing can be written'
            fi
            ;;
        "$from")
            set_aside failed 'the update was interrupted before anything had changed'
            say "the update to $to was interrupted; $from goes on"
            ;;
        *)
            if runs "$root/current"; then
                set_aside failed 'another version was put in its place'
            else
                go_back 'nothing was in its place'
            fi
            ;;
    esac
}

# Without a trial, too, what is there must start.
mend() {
    for each in "$root/previous" "$root"/versions/*; do
        if runs "$each"; then
            [ "$each" = "$root/previous" ] && each=$(readlink "$each")
            say "$root/current leads to no program; ${each##*/} is started"
            point current "${each##*/}"
            return
        fi
    done
    say "there is no version of openclawd in $root/versions"
    return 1
}

# systemd starts nothing again that ended well, by a signal that it takes for that, or with 78. If that was the
# new version's own idea, the old one is started; if systemd was asked to stop it, the trial waits for the start.
stopped() {
    scope='' unit=''
    for each in "$@"; do
        case $each in
            --*) scope=$each ;;
            *) unit=$each ;;
        esac
    done
    read_trial && [ "$(current)" = "$to" ] || return 0
    # No word in between: an empty one would be a unit's name.
    case $(systemctl ${scope:+"$scope"} show --property=Job "$unit") in
        Job=[1-9]*)
            [ "$starts" != 0 ] || write_starts 1
            return
            ;;
    esac
    # For the reason, should the next start find that the trial has failed.
    echo "ended=${EXIT_CODE-} ${EXIT_STATUS-}" >>"$trial"
    if [ "${SERVICE_RESULT-}" = success ] || [ "${EXIT_STATUS-}" = 78 ]; then
        go_back "it ended by itself (${EXIT_CODE-} ${EXIT_STATUS-})" &&
            systemctl ${scope:+"$scope"} --no-block start "$unit"
    fi
}

# Where nothing can be written, nothing was decided here: root did so before, or nobody can.
if [ -e "$trial" ] && [ -w "$root/update" ] && [ "${1-}" != stopped ]; then
    (
        PATH=$system_path
        # What root writes here the gateway's own user must be able to read, whatever the unit says (UMask=).
        umask 022
        settle "${1-}"
    )
fi
case ${1-} in
    settle) exit 0 ;;
    stopped)
        shift
        [ -e "$trial" ] || exit 0
        PATH=$system_path
        umask 022
        stopped "$@"
        exit 0
        ;;
esac
runs "$root/current" || (
    PATH=$system_path
    mend
)
for each in "$root/current" "$root/previous"; do
    if runs "$each"; then
        exec "$each/openclawd" "$@"
    fi
done
say 'nothing can be started; with the file that was downloaded: ./openclawd gateway install'
# As a shell says it of a program that is not there.
exit 127
