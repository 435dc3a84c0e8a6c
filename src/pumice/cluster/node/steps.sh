# What changes a node. Each step is told as `@@pumice step NAME STATUS MS`, after its lines `@@pumice text …`
# and `@@pumice data KEY VALUE`. Killed at any moment, the node is on the old version with what `recover` needs
# to take it back, or on the new one.
#
#   $W/running     the process and start time of the script at work
#   $W/new/        what has come in: blobs, the links that place them, new configuration files
#   $W/backup/     the configuration files as they were
#   $W/journal     there from before the first change until all is proved or undone
LC_ALL=C
export LC_ALL
umask 022
unset CDPATH
exec 2>/dev/null
trap : HUP PIPE TERM
W=$TREE/.pumice/cluster
J=$W/journal
NL='
'

ticks() {
	T=0
	read -r T _ </proc/uptime && T=${T%.*}${T#*.}
	while [ "${T#0}" != "$T" ] && [ "$T" != 0 ]; do T=${T#0}; done
}

begin() {
	STEP=$1
	ticks
	T0=$T
}

tell() {
	tell_lines=$1
	while [ -n "$tell_lines" ]; do
		printf '@@pumice text %s\n' "${tell_lines%%"$NL"*}"
		case $tell_lines in *"$NL"*) tell_lines=${tell_lines#*"$NL"} ;; *) break ;; esac
	done
}

data() {
	printf '@@pumice data %s\n' "$*"
}

end() {
	ticks
	printf '@@pumice step %s %s %s\n' "$STEP" "$1" "$(((T - T0) * 10))"
}

leave() {
	[ ! -e "$W/running" ] || : >"$W/running"
	printf '@@pumice end\n'
	exit "$1"
}

# The step has failed before anything was changed: what came in goes, the old version was never touched.
refuse() {
	tell "$1"
	drop_staged
	[ -n "$LOCKED" ] && rm -f "$TREE/lockfile.lfs"
	end failed
	rm -rf "$W"
	rmdir "$TREE/.pumice"
	leave 1
}

# The step has failed after the first change: that is undone.
abort() {
	tell "$1"
	if undo_files; then
		settle
	else
		tell "and it could not be undone: $problem"
	fi
	end failed
	leave 1
}

drop_staged() {
	if read -r staged <"$TREE/.pumice/building"; then
		case $staged in
		'' | *[!0-9]*) ;;
		*) [ "$(readlink "$TREE/current")" = "generations/$staged" ] || rm -rf "$TREE/generations/$staged" ;;
		esac
	fi
	for staged in "$TREE"/generations/*; do
		case ${staged##*/} in *[!0-9]*) continue ;; esac
		[ -d "$staged" ] && [ ! -e "$staged/generation.json" ] && rm -rf "$staged"
	done
	rm -rf "$W/new" "$W/backup" "$W/prefix" "$W/current" "$TREE/.pumice/building"
}

started() {
	SINCE=
	if read -r line <"/proc/$1/stat"; then
		set -f
		# shellcheck disable=SC2086
		set -- ${line##*) }
		set +f
		[ "$#" -gt 19 ] && shift 19 && SINCE=$1
	fi
}

# One script at a time: one whose connection was cut may still be at work.
enter() {
	FRESH=
	if [ ! -d "$W" ]; then
		FRESH=1
		err=$(mkdir -p -m 700 "$W" "$W/new" "$W/backup" "$W/prefix" 2>&1) || {
			tell "${err:-$W cannot be made}"
			rmdir "$W/new" "$W/backup" "$W/prefix" "$W" "$TREE/.pumice"
			end failed
			leave 1
		}
	fi
	waited=0
	while read -r pid since <"$W/running"; do
		started "$pid"
		[ "$pid" != $$ ] && [ -n "$SINCE" ] && [ "$SINCE" = "$since" ] || break
		waited=$((waited + 1))
		if [ "$waited" -gt "$WAIT" ]; then
			tell "another run of Pumice is at work on this node (process $pid)"
			end failed
			printf '@@pumice end\n'
			exit 1
		fi
		sleep 1
	done
	started $$
	printf '%s %s\n' $$ "$SINCE" >"$W/running"
}

# The lock that LuaRocks and Pumice on the node itself respect.
take_lock() {
	[ -z "$LOCKED" ] || return
	waited=0
	until ln -s "pumice cluster rollout $ROLLOUT" "$TREE/lockfile.lfs"; do
		held=$(readlink "$TREE/lockfile.lfs")
		case $held in
		'pumice cluster '*) break ;;
		'pumice lock: process '*" on $(uname -n)")
			pid=${held#pumice lock: process }
			[ -d "/proc/${pid%% *}" ] || rm -f "$TREE/lockfile.lfs"
			;;
		'')
			if [ ! -e "$TREE/lockfile.lfs" ]; then
				err=$(ln -s x "$TREE/lockfile.lfs" 2>&1)
				refuse "the tree cannot be written: ${err:-no reason is known}"
			fi
			made=$(stat -c %Y "$TREE/lockfile.lfs")
			[ "$(($(date +%s) - ${made:-0}))" -gt 3600 ] && rm -f "$TREE/lockfile.lfs"
			;;
		esac
		waited=$((waited + 1))
		[ "$waited" -gt "$WAIT" ] && refuse "somebody else changes $TREE: ${held:-LuaRocks holds lockfile.lfs}"
		[ "$waited" -gt 1 ] && sleep 1
	done
	LOCKED=1
}

check_current() {
	[ "$LAYOUT" = luarocks ] && return
	if [ "$BEFORE" = 0 ]; then
		[ ! -L "$TREE/current" ]
	else
		[ "$TREE/current" -ef "$TREE/generations/$BEFORE" ]
	fi || refuse "the tree has changed meanwhile: $(readlink "$TREE/current") is current, and not $BEFORE"
}

stage() {
	begin stage
	if [ -e "$J" ] && read_journal; then
		tell 'a rollout that did not end has left its journal here'
		data pending 1
		end failed
		leave 1
	fi
	take_lock
	if [ -z "$FRESH" ]; then
		drop_staged
		rm -f "$J"
		mkdir -p -m 700 "$W/new" "$W/backup" "$W/prefix" || refuse "$W cannot be written"
	fi
	check_current
	[ "$BUILD" = 0 ] || printf '%s\n' "$BUILD" >"$TREE/.pumice/building" || refuse "nothing can be written to $TREE"
	err=$(tar -xpof - -C "$W/new" 2>&1) || refuse "${err:-what was sent did not arrive whole}"
	[ -e "$W/new/sums" ] || refuse 'what was sent did not arrive whole'
	if [ -s "$W/new/sums" ] && ! out=$(cd "$TREE" && sha256sum -c .pumice/cluster/new/sums 2>&1); then
		set_aside
		refuse "${bad:-what is on the node now is not what was sent:$NL$out}"
	fi
	CHECKED=1
	if [ -e "$W/new/links.tar" ]; then
		err=$(cd "$TREE" && tar -xpof .pumice/cluster/new/links.tar 2>&1) || refuse "${err:-files cannot be linked}"
		LINKED=$BUILD
	fi
	[ ! -e "$W/new/plan" ] || check_places
	if [ "$BUILD" != 0 ]; then
		err=$(mv "$W/new/generation.json" "$TREE/generations/$BUILD/generation.json" 2>&1) || refuse "$err"
	fi
	end done
}

# Contents of the store that are not what their names say are never linked again.
set_aside() {
	bad=
	rest=$out$NL
	while [ -n "$rest" ]; do
		line=${rest%%"$NL"*}
		rest=${rest#*"$NL"}
		case $line in
		store/??/*': FAILED'*)
			file=${line%%: FAILED*}
			key=${file#store/}
			data damaged "${key%%/*}${key#*/}"
			if [ -e "$TREE/$file" ]; then
				mkdir -p "$TREE/store/damaged"
				mv -f "$TREE/$file" "$TREE/store/damaged/${key%%/*}${key#*/}"
			fi
			bad=${bad:-"contents of the store are damaged:$NL"}$line$NL
			;;
		/*': FAILED'*)
			bad="the gateway's configuration has changed meanwhile: ${line%%: FAILED*}$NL"
			break
			;;
		*': OK' | '') ;;
		*) bad=${bad:-"what is on the node now is not what was sent:$NL"}$line$NL ;;
		esac
	done
}

gateway() {
	MASTER=
	read -r MASTER <"$PREFIX/pids/nginx.pid"
	case $MASTER in *[!0-9]*) MASTER= ;; esac
	[ -n "$MASTER" ] && [ -d "/proc/$MASTER" ] || MASTER=
}

# The KONG_* of lines, exported; SOH stands for a line break inside of a value.
export_lines() {
	set -f
	IFS=$NL
	for line in $1; do
		line=${line#export }
		case $line in
		KONG_*=*)
			name=${line%%=*}
			value=${line#*=}
			case $value in
			*"$SOH"*) value=$(printf %s "$value" | tr '\001' '\n') ;;
			\"*\") [ -z "$2" ] || value=${value#\"} value=${value%\"} ;;
			\'*\') [ -z "$2" ] || value=${value#\'} value=${value%\'} ;;
			esac
			case $name in *[!A-Za-z0-9_]*) ;; *) export "$name=$value" ;; esac
			;;
		esac
	done
	unset IFS
	set +f
}

# The gateway's own command, in the directory and with the KONG_* with which it was started, as far as the
# node tells: an nginx wipes its environment, a container gives it to us too, and `enable` may name a file.
kong() (
	cd "/proc/$MASTER/cwd" || cd /
	[ -z "$MASTER" ] || export_lines "$(tr '\n\0' '\001\n' <"/proc/$MASTER/environ")"
	case $ENABLE in
	'' | */50-pumice.conf) ;;
	*) [ ! -r "$ENABLE" ] || export_lines "$(cat "$ENABLE")" quoted ;;
	esac
	unset KONG_PLUGINS KONG_LUA_PACKAGE_PATH KONG_LUA_PACKAGE_CPATH
	export_lines "$GIVEN"
	PATH=$PATH:/usr/local/bin:/usr/local/openresty/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
	"$@" >"$W/out" 2>&1 </dev/null
)

output() {
	out=$(cat "$W/out")
}

settings_file() {
	if [ -n "$CONF_EDIT" ] && [ -e "$W/new/edits/$CONF_EDIT" ]; then
		SETTINGS=$W/new/edits/$CONF_EDIT
	elif [ -f "$CONF" ]; then
		SETTINGS=$CONF
	else
		SETTINGS=
	fi
}

parse_configuration() {
	KONG_PREFIX=$W/prefix KONG_DATABASE=off KONG_ROLE=traditional
	export KONG_PREFIX KONG_DATABASE KONG_ROLE
	"$KONG" config parse ${SETTINGS:+-c "$SETTINGS"} "$W/prefix/empty.yml"
}

preflight() {
	begin preflight
	if [ ! -x "$KONG" ]; then
		tell "there is no program $KONG"
		end skipped
		return
	fi
	settings_file
	printf '_format_version: "3.0"\n' >"$W/prefix/empty.yml"
	GIVEN=$STAGED_EXPORTS
	if kong parse_configuration; then
		end done
	else
		output
		case $out in
		*"field 'db'"* | *'attempt to yield'* | *'API disabled in the context'*)
			tell "$out"
			end warned
			;;
		*) refuse "${out:-kong config parse failed and said nothing}" ;;
		esac
	fi
}

migrate() {
	begin migrate
	settings_file
	GIVEN=$STAGED_EXPORTS${STAGED_EXPORTS:+$NL}KONG_PREFIX=$W/prefix
	if kong "$KONG" migrations "$MIGRATION" ${SETTINGS:+-c "$SETTINGS"}; then
		output
		tell "$out"
		if [ "$MIGRATION" = finish ] && [ ! -e "$J" ]; then
			rm -rf "$W"
			rmdir "$TREE/.pumice"
		fi
		end done
	else
		output
		refuse "${out:-kong migrations $MIGRATION failed and said nothing}"
	fi
}

edit() {
	eval "path=\$EDIT_$1_PATH before=\$EDIT_$1_BEFORE after=\$EDIT_$1_AFTER"
	[ ! -L "$path" ] || path=$(readlink -f "$path")
}

activate() {
	begin activate
	take_lock
	gateway
	[ -n "$CHECKED" ] || check_current
	[ "$AFTER" = 0 ] || [ "$LAYOUT" = luarocks ] || [ -e "$TREE/generations/$AFTER/generation.json" ] ||
		refuse "generation $AFTER is not there"
	journal="pumice-cluster 1${NL}rollout $ROLLOUT${NL}before $BEFORE${NL}after $AFTER$NL"
	sums=
	n=0
	while [ "$n" -lt "$EDITS" ]; do
		edit "$n"
		journal="${journal}file $n $before $after $path$NL"
		if [ "$before" = - ]; then
			[ ! -e "$path" ] || refuse_edit "$path has appeared meanwhile"
			err=$( (mkdir -p "${path%/*}" && cat "$W/new/edits/$n" >"$path.pumice-new") 2>&1) ||
				refuse_edit "$path cannot be made: $err"
		else
			err=$(cp -p "$path" "$W/backup/$n" 2>&1) || refuse_edit "$path cannot be kept: $err"
			[ -n "$CHECKED" ] || sums="$sums$before  $W/backup/$n$NL"
			# Where no file can be made beside it, it is written in place, and `undo` writes it back.
			if [ "$after" != - ] && [ -w "${path%/*}" ]; then
				err=$( (cp -p "$path" "$path.pumice-new" && cat "$W/new/edits/$n" >"$path.pumice-new") 2>&1) ||
					refuse_edit "$path cannot be edited: $err"
			fi
		fi
		n=$((n + 1))
	done
	if [ -n "$sums" ] && ! out=$(printf %s "$sums" | sha256sum -c 2>&1); then
		refuse_edit "the gateway's configuration has changed meanwhile"
	fi
	if [ -e "$PREFIX/.kong_env" ]; then
		err=$(cp -p "$PREFIX/.kong_env" "$W/backup/kong_env" 2>&1) || refuse_edit "$err"
	fi
	log_size
	journal="${journal}log $SIZE $LOG$NL"
	rest=$UNDO_EXPORTS
	while [ -n "$rest" ]; do
		line=${rest%%"$NL"*}
		rest=${rest#"$line"}
		rest=${rest#"$NL"}
		journal="${journal}export $line$NL"
	done
	# A journal without a phase is one that was being written: nothing had been changed.
	printf '%s' "$journal" >"$J" && printf 'phase activating\n' >>"$J"
	if ! read_journal || [ "$FILES" != "$EDITS" ]; then
		rm -f "$J"
		refuse_edit "$W cannot be written: is the disk full?"
	fi
	# Contents and journal are on the disk before anything names them, should the power fail.
	[ -z "$DURABLE" ] || sync -f "$TREE" || sync
	change_files || abort "$problem"
	ticks
	data uptime "$T"
	end done
}

refuse_edit() {
	n=0
	while [ "$n" -lt "$EDITS" ]; do
		edit "$n"
		rm -f "$path.pumice-new"
		n=$((n + 1))
	done
	refuse "$1"
}

change_files() {
	problem=
	if [ "$LAYOUT" = luarocks ]; then
		place_files || return 1
	fi
	n=0
	while [ "$n" -lt "$EDITS" ]; do
		edit "$n"
		if [ "$after" = - ]; then
			problem=$(rm -f "$path" 2>&1) || return 1
		elif ! mv -f "$path.pumice-new" "$path"; then
			problem=$( (cat "$W/new/edits/$n" >"$path") 2>&1) || {
				problem="$path cannot be written"
				return 1
			}
		fi
		n=$((n + 1))
	done
	[ "$LAYOUT" = luarocks ] || swap "$AFTER"
}

swap() {
	if [ "$1" = 0 ]; then
		problem=$(rm -f "$TREE/current" 2>&1)
		return
	fi
	if [ "$LINKED" != "$1" ]; then
		problem=$(ln -sfn "generations/$1" "$W/current" 2>&1) || return 1
	fi
	mv -fT "$W/current" "$TREE/current" ||
		problem=$( (rm -f "$TREE/current" && mv "$W/current" "$TREE/current") 2>&1)
}

log_size() {
	LOG=$PREFIX/logs/error.log
	SIZE=0
	[ -f "$LOG" ] && SIZE=$(wc -c <"$LOG")
	SIZE=$((SIZE))
}

tell_log() {
	[ -f "$2" ] || return
	lines=$(tail -c "+$(($1 + 1))" "$2" | tail -c 4000)
	while [ -n "$lines" ]; do
		data log "${lines%%"$NL"*}"
		case $lines in *"$NL"*) lines=${lines#*"$NL"} ;; *) break ;; esac
	done
}

restart_gateway() {
	set --
	[ -f "$CONF" ] && set -- -c "$CONF"
	set -- "$@" -p "$PREFIX"
	# `reload` prepares by itself, from what the gateway was last prepared with: `prepare` alone would lose
	# what came from an environment that is not known here.
	case $RESTART in
	reload) "$KONG" reload "$@" ;;
	restart)
		case $UNIT in
		'') "$KONG" restart "$@" ;;
		*) systemctl restart "$UNIT" ;;
		esac
		;;
	*) sh -c "$RESTART" ;;
	esac
}

reload() {
	begin reload
	gateway
	printf 'phase reloading\n' >>"$J" || abort "$W cannot be written: is the disk full?"
	# The kernel ends this line without a newline: `read` fails, and has read it.
	children=
	[ -n "$MASTER" ] && read -r children <"/proc/$MASTER/task/$MASTER/children"
	[ -n "$children" ] && data workers "$children"
	case $ENABLE in */50-pumice.conf) systemctl daemon-reload ;; esac
	GIVEN=$EXPORTS
	if kong restart_gateway; then
		ticks
		data reloaded "$T"
		end done
	else
		output
		tell "${out:-the gateway was not told of the change: $KONG failed and said nothing}"
		tell_log "$SIZE" "$LOG"
		end failed
		leave 1
	fi
}

# After this nothing takes the node back.
settle() {
	rm -rf "$TREE/.pumice/building" "$TREE/lockfile.lfs" "$W"
	rmdir "$TREE/.pumice"
}

finish() {
	begin finish
	[ -d "$RECORDS" ] || mkdir -p "$RECORDS"
	err=$( (cat >"$W/record") 2>&1) || {
		tell "the record cannot be written: $err"
		end failed
		leave 1
	}
	if [ -e "$J" ] && ! printf 'phase finishing\n' >>"$J"; then
		tell "$W cannot be written: is the disk full?"
		end failed
		leave 1
	fi
	finish_rest
	end done
}

finish_rest() {
	[ -s "$W/record" ] && mv -f "$W/record" "$RECORDS/$ROLLOUT.json"
	case $LAYOUT in
	luarocks)
		keep_replaced
		# Before the rest: without the plan it could not be told any more what was to be kept.
		rm -f "$TREE/lockfile.lfs" "$J"
		;;
	*) drop_old ;;
	esac
	settle
}

drop_old() {
	set -- "$TREE"/generations/*
	[ "$#" -gt "$KEEP" ] || return 0
	current=$(readlink "$TREE/current")
	current=${current#generations/}
	set --
	for one in "$TREE"/generations/*; do
		one=${one##*/}
		case $one in *[!0-9]* | "$current" | "$BEFORE") continue ;; esac
		newer=0
		for other in "$TREE"/generations/*; do
			case ${other##*/} in *[!0-9]*) ;; *) [ "${other##*/}" -gt "$one" ] && newer=$((newer + 1)) ;; esac
		done
		[ "$newer" -lt "$KEEP" ] || set -- "$@" "$TREE/generations/$one/generation.json" "$TREE/generations/$one"
	done
	[ "$#" -gt 0 ] || return 0
	rm -rf "$@"
	set --
	for one in $(cd "$TREE/store" && stat -c '%h:%n' ??/*); do
		case $one in 1:*) set -- "$@" "${one#1:}" ;; esac
	done
	[ "$#" -gt 0 ] || return 0
	(cd "$TREE/store" && rm -f "$@")
}

read_journal() {
	phase=
	[ -e "$J" ] || return
	FILES=0
	UNDO_EXPORTS=
	LOG=
	SIZE=0
	while IFS= read -r line; do
		case $line in
		'rollout '*) ROLLOUT=${line#rollout } ;;
		'before '*) BEFORE=${line#before } ;;
		'after '*) AFTER=${line#after } ;;
		'file '*)
			line=${line#file }
			line=${line#* }
			eval "FILE_${FILES}=\$line"
			FILES=$((FILES + 1))
			;;
		'log '*)
			line=${line#log }
			SIZE=${line%% *}
			LOG=${line#* }
			;;
		'export KONG_'*) UNDO_EXPORTS=$UNDO_EXPORTS${UNDO_EXPORTS:+$NL}${line#export } ;;
		'phase '*) phase=${line#phase } ;;
		esac
	done <"$J"
	case $BEFORE$AFTER$SIZE in *[!0-9]*) return 1 ;; esac
	case $ROLLOUT in '' | */* | .*) return 1 ;; esac
	[ -n "$phase" ]
}

undo_files() {
	problem='its journal is damaged'
	read_journal || return 1
	problem=
	n=0
	while [ "$n" -lt "$FILES" ]; do
		eval "line=\$FILE_$n"
		before=${line%% *}
		line=${line#* }
		after=${line%% *}
		path=${line#* }
		if [ "$before" = - ]; then
			problem=$(rm -f "$path" "$path.pumice-new" 2>&1) || return 1
		elif [ -e "$W/backup/$n" ]; then
			put_back || return 1
		fi
		n=$((n + 1))
	done
	if [ -e "$W/backup/kong_env" ]; then
		problem=$( (cp -p "$W/backup/kong_env" "$PREFIX/.kong_env.pumice-new" &&
			mv -f "$PREFIX/.kong_env.pumice-new" "$PREFIX/.kong_env") 2>&1) || return 1
	fi
	if [ "$LAYOUT" = luarocks ]; then
		unplace_files
	elif [ "$(readlink "$TREE/current")" = "generations/$AFTER" ] || [ "$AFTER" = 0 ]; then
		swap "$BEFORE"
	fi
}

put_back() {
	rm -f "$path.pumice-new"
	now=$(sha256sum "$path")
	now=${now%% *}
	[ "$now" != "$before" ] || return 0
	if [ -n "$now" ] && [ "$now" != "$after" ]; then
		cp -p "$path" "$path.pumice-kept" && tell "$path was changed by somebody else; that is in $path.pumice-kept"
	fi
	cp -p "$W/backup/$n" "$path.pumice-new" && mv -f "$path.pumice-new" "$path" && return
	rm -f "$path.pumice-new"
	problem="$path cannot be written back from $W/backup/$n"
	cat "$W/backup/$n" >"$path"
}

undo() {
	begin "$1"
	read_journal
	if [ -z "$phase" ]; then
		drop_staged
		settle
		tell 'there was nothing to undo'
		end done
		return
	fi
	if ! read_journal; then
		tell "the journal $J is damaged; look at $W/backup, and remove $W"
		end failed
		leave 1
	fi
	if [ "$phase" = finishing ]; then
		finish_rest
		tell 'it had been proved already, and is finished now'
		data outcome finished
		end done
		return
	fi
	tell_log "$SIZE" "$LOG"
	if ! undo_files; then
		tell "it could not be undone: $problem"
		end failed
		leave 1
	fi
	data outcome undone
	gateway
	if [ "$phase" = activating ]; then
		:
	elif [ -z "$MASTER" ] && [ "$RESTART" = reload ]; then
		tell 'the gateway does not run'
	else
		case $ENABLE in */50-pumice.conf) systemctl daemon-reload ;; esac
		GIVEN=$UNDO_EXPORTS
		if ! kong restart_gateway; then
			output
			tell "the files are as before, but the gateway was not told:$NL$out"
			end failed
			leave 1
		fi
		# The gateway's command has written it anew.
		[ -e "$W/backup/kong_env" ] && cp -p "$W/backup/kong_env" "$PREFIX/.kong_env"
	fi
	settle
	end done
}

STEP=$FIRST
ticks
T0=$T
enter
for each in $STEPS; do
	case $each in
	stage) stage ;;
	preflight) preflight ;;
	migrate) migrate ;;
	activate) activate ;;
	reload) reload ;;
	finish) finish ;;
	undo | recover) undo "$each" ;;
	esac
done
leave 0
