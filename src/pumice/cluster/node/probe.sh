# What a node is and has, in one run that changes nothing: lines `@@pumice KEY VALUE`, then a tar of files.
# Given: TREE LAYOUT RECORDS CONF ENABLE PREFIX KONG. Only sh, tar and coreutils or busybox are here.
LC_ALL=C
export LC_ALL
umask 022
unset CDPATH
exec 2>/dev/null </dev/null
NL='
'

say() {
	printf '@@pumice %s\n' "$*"
}

# Old workers may serve long connections for hours after a reload; they take no new ones.
worker() {
	title=
	read -r title <"/proc/$1/cmdline"
	case $title in *'shutting down'*) return ;; esac
	read -r line <"/proc/$1/stat" && printf '@@pumice worker %s\n' "$line"
}

say begin 1
uname=$(uname -snm)
# The host's name stands in the middle.
system=${uname%% *} machine=${uname##* }
say system "$system $machine"
uname=${uname#"$system" }
say hostname "${uname% "$machine"}"
# That file ends without a newline: `read` fails, and has read it.
id=
read -r id <"$PREFIX/kong.id"
[ -z "$id" ] || say node-id "$id"

if [ -r /proc/self/status ]; then
	while read -r key value _; do
		case $key in Uid:) say uid "$value"; break ;; esac
	done </proc/self/status
else
	say uid "$(id -u)"
fi
if read -r up _ </proc/uptime; then say uptime "$up"; fi
say time "$(date +%s)"

master=
read -r master <"$PREFIX/pids/nginx.pid"
case $master in *[!0-9]*) master= ;; esac
# What is long is read by one process: each costs more than all else here. No NUL of it comes.
text=$(
	cat "$PREFIX/.kong_env" - ${master:+"/proc/$master/environ" "/proc/$master/maps"} <<END

@@pumice master
END
)
if [ -n "$master" ] && [ -r "/proc/$master/stat" ]; then
	read -r line <"/proc/$master/stat" && say master "$line"
	# The kernel ends this line without a newline: `read` fails, and has read it.
	children=
	read -r children <"/proc/$master/task/$master/children"
	if [ -n "$children" ]; then
		for child in $children; do
			worker "$child"
		done
	else
		for stat in /proc/[0-9]*/stat; do
			if read -r line <"$stat"; then
				case ${line##*) } in [A-Za-z]" $master "*) worker "${line%% *}" ;; esac
			fi
		done
	fi
	case $text in
	*'@@pumice master'*/ld-musl-*) say libc musl ;;
	*'@@pumice master'*/ld-linux* | *'@@pumice master'*/libc.so.6* | *'@@pumice master'*/libc-2.*) say libc glibc ;;
	esac
	case $text in
	*'@@pumice master'*luajit*) say lua 5.1 ;;
	*'@@pumice master'*/liblua5.[1-5]*) maps=${text##*/liblua5.} && say lua "5.${maps%"${maps#?}"}" ;;
	esac
	# An nginx has wiped it for its title.
	case $text in *'@@pumice master'*KONG_*)
		tr '\n\0' ' \n' <"/proc/$master/environ" | while IFS= read -r line; do
			case $line in
			KONG_PLUGINS=* | KONG_LUA_PACKAGE_PATH=* | KONG_LUA_PACKAGE_CPATH=* | KONG_ROLE=* | KONG_DATABASE=* | \
				KONG_PREFIX=*) say env "$line" ;;
			KONG_*) say envname "${line%%=*}" ;;
			esac
		done
		;;
	esac
fi
# In a container we have the environment that the gateway was started with.
case $(export -p) in
*' KONG_'*)
	env | while IFS= read -r line; do
		case $line in
		KONG_PLUGINS=* | KONG_LUA_PACKAGE_PATH=* | KONG_LUA_PACKAGE_CPATH=* | KONG_ROLE=* | KONG_DATABASE=* | \
			KONG_PREFIX=*) say env "$line" ;;
		KONG_*=*) say envname "${line%%=*}" ;;
		esac
	done
	;;
esac
for library in /lib64/ld-linux* /lib/ld-linux* /lib/*-linux-gnu*/libc.so.6; do
	[ -e "$library" ] && say has glibc && break
done
for library in /lib/ld-musl-*; do [ -e "$library" ] && say has musl; done

if [ -f "$KONG" ] && [ -x "$KONG" ]; then
	if command -v timeout >/dev/null; then limit='timeout 20'; else limit=; fi
	version=$(
		PATH=$PATH:/usr/local/bin:/usr/local/openresty/bin:/usr/bin:/bin
		$limit "$KONG" version
	)
	say kong "${version%%"$NL"*}"
else
	say kong-missing "$KONG"
fi

if [ -r "$PREFIX/.kong_env" ]; then
	[ "$CONF" -nt "$PREFIX/.kong_env" ] && say conf-newer
	set -f
	IFS=$NL
	for line in $text; do
		case $line in
		'@@pumice master') break ;;
		plugins* | lua_package_*path* | role* | database\ * | prefix* | *_listen\ * | proxy_error_log* | \
			declarative_config\ * | node_id*) say "prepared $line" ;;
		esac
	done
	unset IFS
	set +f
fi

for place in "$TREE" "$CONF" "$ENABLE"; do
	at=$place
	while [ -n "$at" ] && [ ! -d "$at" ]; do at=${at%/*}; done
	if [ -n "$place" ] && [ -w "${at:-/}" ]; then say writable "$place"; fi
done
at=$TREE
while [ -n "$at" ] && [ ! -d "$at" ]; do at=${at%/*}; done
df=$(df -P "${at:-/}")
say df "${df##*"$NL"}"
while read -r _ point _ options _; do
	case $TREE/ in "${point%/}"/*) say mount "$point $options" ;; esac
done </proc/self/mounts

set --
readable() {
	[ -f "$1" ] && { [ -r "$1" ] || { say unreadable "$1" && false; }; }
}
readable "$CONF" && set -- "$@" ".$CONF"
[ -n "$ENABLE" ] && readable "$ENABLE" && set -- "$@" ".$ENABLE"
readable "$TREE/.pumice/cluster/journal" && set -- "$@" ".$TREE/.pumice/cluster/journal"
for file in "$RECORDS"/*.json; do
	[ -f "$file" ] && file=${file##*/} && say rollout "${file%.json}"
done
if [ "$LAYOUT" = generations ]; then
	if [ -L "$TREE/current" ]; then
		current=$(readlink "$TREE/current")
		say current "$current"
		readable "$TREE/$current/generation.json" && set -- "$@" ".$TREE/$current/generation.json"
	elif [ -e "$TREE/current" ]; then
		say current "?"
	fi
	for place in "$TREE"/generations/*; do
		[ -d "$place" ] && say generation "${place##*/}"
	done
	for place in "$TREE"/store/??; do
		for file in "$place"/*; do
			[ -f "$file" ] && say key "${place##*/}${file##*/}"
		done
	done
else
	rocks=$TREE/lib/luarocks/rocks-5.1
	readable "$rocks/manifest" && set -- "$@" ".$rocks/manifest"
	for file in "$rocks"/*/*/rock_manifest; do
		readable "$file" && set -- "$@" ".$file"
	done
fi
say files "$#"
[ "$#" -gt 0 ] && exec tar -chf - -C / "$@"
exit 0
