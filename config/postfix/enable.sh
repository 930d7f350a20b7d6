#!/bin/sh
# Puts Portcullis in front of Postfix: moves the SMTP service from port 25 to 127.0.0.1:10025 and,
# if asked to, submission (587, 465) to 127.0.0.1:10587. README.md says why each line is there.
# Changes master.cf only, by postconf; doing it twice changes nothing more. disable.sh is the way back.
set -eu

usage() {
    cat <<'USAGE'
usage: enable.sh [-c CONFIG_DIR] [-n] [-l] [-r NETWORKS] [mx] [submission]
  -c CONFIG_DIR  Postfix's configuration (default: what postconf says)
  -n             print the commands, change nothing
  -l             Postfix keeps 127.0.0.1:25 for programs on this machine; then Portcullis must listen
                 on the machine's other addresses by name, not on 0.0.0.0:25
  -r NETWORKS    who may relay through port 25 without a password, separated by spaces
                 (default: `mynetworks` without loopback; "" for nobody)
  mx             port 25 (default)
  submission     ports 587 and 465
USAGE
}

say() { printf '%s\n' "$*" >&2; }
die() { say "enable.sh: $*"; exit 1; }

dir='' dry=no local=no networks='' networks_given=no
while getopts c:nlr:h option; do
    case $option in
        c) dir=$OPTARG ;;
        n) dry=yes ;;
        l) local=yes ;;
        r) networks=$OPTARG networks_given=yes ;;
        h) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || set -- mx
for part in "$@"; do
    case $part in mx | submission) ;; *) usage >&2; exit 2 ;; esac
done

[ -n "$dir" ] || dir=$(postconf -h config_directory)
[ -f "$dir/master.cf" ] || die "there is no $dir/master.cf"
before=$dir/master.cf.before-portcullis
after=$dir/master.cf.with-portcullis

get() { postconf -c "$dir" "$@" 2>/dev/null; }
exists() { [ -n "$(get -M "$1")" ]; }

# Changes something, or prints how.
change() {
    if [ "$dry" = yes ]; then
        printf 'postconf'
        for word in "$@"; do
            case $word in *[!A-Za-z0-9/._:=-]*) printf " '%s'" "$word" ;; *) printf ' %s' "$word" ;; esac
        done
        printf '\n'
    else
        postconf -c "$dir" "$@"
    fi
}

# The first of the services that is there.
first() {
    for service in "$@"; do
        if exists "$service"; then
            printf '%s' "$service"
            return
        fi
    done
}

# move OLD NEW: a service NEW/inet with the fields and options of OLD, and smtpd as its program.
move() {
    line=$(get -M "$1" | head -n 1)
    case $line in *' -o '*) options=" -o ${line#* -o }" ;; *) options='' ;; esac
    # Fields: service type private unpriv chroot wakeup maxproc command.
    # shellcheck disable=SC2086
    fields=$(set -f; set -- $line; printf '%s %s - %s' "$4" "$5" "$7")
    change -Me "$2/inet=$2 inet n $fields smtpd$options"
    # What belongs to a port that faces the world.
    for name in smtpd_tls_wrappermode smtpd_upstream_proxy_protocol; do
        case $options in *" $name="*) change -PX "$2/inet/$name" ;; esac
    done
}

# What both listeners behind Portcullis need.
behind() {
    set_option "$1" smtpd_authorized_xclient_hosts 127.0.0.0/8
    set_option "$1" smtpd_client_connection_count_limit 0
    set_option "$1" smtpd_client_connection_rate_limit 0
    set_option "$1" smtpd_tls_security_level none
    set_option "$1" inet_protocols all
    # Postfix 3.7.10, 3.8.5 and 3.9 and later.
    if [ -n "$(get -d smtpd_forbid_bare_newline)" ]; then
        set_option "$1" smtpd_forbid_bare_newline normalize
        set_option "$1" smtpd_forbid_bare_newline_exclusions ''
    fi
}

set_option() { change -Pe "$1/inet/$2=$3"; }

# `mynetworks` without loopback: Portcullis connects from there, and must have no right of its own.
without_loopback() {
    kept=''
    for network in $(printf '%s' "$1" | tr ',' ' '); do
        case $network in
            127.* | '[127.'* | '[::1]'* | ::1 | ::1/* | '[::ffff:127.'*) ;;
            */0) die "$network is the whole world: it would be an open relay" ;;
            *) kept="$kept${kept:+,}$network" ;;
        esac
    done
    printf '%s' "$kept"
}

mx() {
    new=127.0.0.1:10025
    if exists $new/inet; then
        [ "$local" = no ] || die "-l is for the first time; run disable.sh before"
    else
        old=$(first smtp/inet 25/inet)
        [ -n "$old" ] || die "master.cf has no service smtp/inet; see README.md for the commands"
        from=$old
        if get -M "$old" | grep -q 'postscreen'; then
            from=$(first smtpd/pass)
            [ -n "$from" ] || die "postscreen is on port 25, but there is no service smtpd/pass"
            sites=$(get -hx postscreen_dnsbl_sites)
            [ -z "$sites" ] || say "postscreen asked these DNS lists; name them as [[dnsbl]]: $sites"
        fi
        move "$from" $new
        if [ "$local" = yes ]; then
            if [ "$from" != "$old" ]; then die "-l: postscreen does not serve programs on this machine"; fi
            change -Me "127.0.0.1:25/inet=127.0.0.1:25 $(get -M "$old" | head -n 1 | sed 's/^[^ ]* *//')"
        fi
        change -M# "$old"
    fi
    behind $new
    if [ $networks_given = no ]; then
        # Who was decided on earlier keeps the right, and nobody gets it by a second run.
        if get -P $new/inet/mynetworks | grep -q =; then return; fi
        networks=$(get -hx mynetworks)
    fi
    networks=$(without_loopback "$networks")
    set_option $new mynetworks "$networks"
    if [ -n "$networks" ]; then
        say "may relay through port 25 without a password: $networks"
        set_option $new smtpd_relay_restrictions permit_mynetworks,permit_sasl_authenticated,reject_unauth_destination
    else
        set_option $new smtpd_relay_restrictions permit_sasl_authenticated,reject_unauth_destination
    fi
}

submission() {
    new=127.0.0.1:10587
    if ! exists $new/inet; then
        old=$(first submission/inet 587/inet submissions/inet smtps/inet 465/inet)
        if [ -n "$old" ]; then
            move "$old" $new
        else
            # In the chroot if the system's other services are.
            chroot=$(get -F smtp/unix/chroot | sed 's/.*= *//')
            change -Me "$new/inet=$new inet n - ${chroot:-n} - - smtpd"
        fi
        for service in submission/inet 587/inet submissions/inet smtps/inet 465/inet; do
            if exists $service; then change -M# $service; fi
        done
    fi
    behind $new
    set_option $new smtpd_sasl_auth_enable yes
    set_option $new smtpd_tls_auth_only no
    set_option $new smtpd_sasl_security_options noanonymous
    set_option $new mynetworks ''
    set_option $new smtpd_client_restrictions ''
    set_option $new smtpd_relay_restrictions permit_sasl_authenticated,reject
    set_option $new smtpd_recipient_restrictions permit_sasl_authenticated,reject
}

# disable.sh puts the old file back only if nobody else has changed the new one.
intact=yes
if [ -f "$before" ]; then
    cmp -s "$dir/master.cf" "$after" || intact=no
elif [ "$dry" = no ]; then
    cp -p "$dir/master.cf" "$before"
    new_backup=yes
fi
# Half a change is worse than none.
if [ "$dry" = no ]; then
    saved=$(mktemp)
    cat "$dir/master.cf" >"$saved"
    # shellcheck disable=SC2154
    trap 'status=$?
        if [ $status -ne 0 ]; then
            cat "$saved" >"$dir/master.cf"
            [ -z "${new_backup-}" ] || rm -f "$before"
            say "nothing was changed"
        fi
        rm -f "$saved"
        exit $status' EXIT
fi
for part in "$@"; do
    $part
done
if [ "$dry" = no ]; then
    [ $intact = no ] || cp -p "$dir/master.cf" "$after"
    say "done; now: postfix check && systemctl reload postfix"
fi
