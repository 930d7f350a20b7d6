#!/bin/sh
# Takes Portcullis away from in front of Postfix: the way back from enable.sh. When master.cf was not
# changed since, it is put back byte for byte; else the services are put back by postconf, and other
# changes stay. Doing it twice changes nothing more.
set -eu

say() { printf '%s\n' "$*" >&2; }

dir=''
while getopts c:h option; do
    case $option in
        c) dir=$OPTARG ;;
        h) say 'usage: disable.sh [-c CONFIG_DIR]'; exit 0 ;;
        *) say 'usage: disable.sh [-c CONFIG_DIR]'; exit 2 ;;
    esac
done
[ -n "$dir" ] || dir=$(postconf -h config_directory)
before=$dir/master.cf.before-portcullis
after=$dir/master.cf.with-portcullis

if [ ! -f "$before" ]; then
    say "there is no $before: nothing to undo"
    exit 0
fi

if [ -f "$after" ] && cmp -s "$dir/master.cf" "$after"; then
    cat "$before" >"$dir/master.cf"
else
    say "master.cf was changed since; putting back the services only (commented lines stay)"
    # The services as they were, read from a copy.
    old=$(mktemp -d)
    trap 'rm -rf "$old"' EXIT
    cp "$dir/main.cf" "$old/main.cf"
    cp "$before" "$old/master.cf"
    for service in 127.0.0.1:10025/inet 127.0.0.1:10587/inet 127.0.0.1:25/inet; do
        if [ -n "$(postconf -c "$dir" -M $service 2>/dev/null)" ] &&
            [ -z "$(postconf -c "$old" -M $service 2>/dev/null)" ]; then
            postconf -c "$dir" -MX $service
        fi
    done
    for service in smtp/inet 25/inet submission/inet 587/inet submissions/inet smtps/inet 465/inet; do
        line=$(postconf -c "$old" -M $service 2>/dev/null | tr -s '\n ' ' ' | sed 's/ $//')
        if [ -n "$line" ] && [ -z "$(postconf -c "$dir" -M $service 2>/dev/null)" ]; then
            postconf -c "$dir" -Me "$service=$line"
        fi
    done
fi
rm -f "$before" "$after"
say "done; now: systemctl stop portcullis && postfix check && systemctl reload postfix"
