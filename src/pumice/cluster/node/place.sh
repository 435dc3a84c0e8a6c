# A change of the node's own LuaRocks tree, file by file: `$W/new/plan` says what goes where, one thing a line,
# its words separated by tabs; `$W/backup/files` has what was there before. `steps.sh` follows.
#
#   put FOLDER NAME HAD   a file comes from $W/new/files; HAD is 1 where one was there before
#   del FOLDER NAME       a file goes
#   made FOLDER           a folder that was not there before
#   prune FOLDER          a folder that goes if it is empty
#   took NUMBER           this change takes a rollout back, whose kept files nobody needs afterwards
#
# What a proved rollout replaced stays in $RECORDS/kept/NUMBER, the newest with the highest number:
#   rollout, plan         its id, and what it did
#   files/                what was there before, with its modes
#   before, after         the sha256 of these files, and of those that came
TAB='	'

check_places() {
	while IFS=$TAB read -r kind folder name had; do
		case $kind in
		put)
			if [ "$had" = 0 ] && [ -e "$TREE/$folder/$name" ]; then
				refuse "$TREE/$folder/$name has appeared meanwhile"
			fi
			;;
		esac
	done <"$W/new/plan"
}

move_all() {
	to=$1
	shift
	[ "$#" -gt 0 ] || return 0
	problem=$( (mkdir -p "$to" && mv -f "$@" "$to/") 2>&1)
}

place_files() {
	[ -e "$W/new/plan" ] || return 0
	at=
	set --
	while IFS=$TAB read -r kind folder name had; do
		[ "$kind" = put ] || continue
		if [ "$folder" != "$at" ]; then
			move_all "$TREE/$at" "$@" || return 1
			set --
			at=$folder
		fi
		set -- "$@" "$W/new/files/$folder/$name"
	done <"$W/new/plan"
	move_all "$TREE/$at" "$@" || return 1
	set --
	while IFS=$TAB read -r kind folder name; do
		[ "$kind" = del ] && set -- "$@" "$TREE/$folder/$name"
	done <"$W/new/plan"
	if [ "$#" -gt 0 ]; then
		problem=$(rm -f "$@" 2>&1) || return 1
	fi
	set --
	while IFS=$TAB read -r kind folder; do
		[ "$kind" = prune ] && set -- "$@" "$TREE/$folder"
	done <"$W/new/plan"
	[ "$#" -eq 0 ] || rmdir "$@"
	return 0
}

unplace_files() {
	[ -e "$W/new/plan" ] || return 0
	at=
	set --
	while IFS=$TAB read -r kind folder name had; do
		case $kind in
		put) [ "$had" = 1 ] || continue ;;
		del) ;;
		*) continue ;;
		esac
		[ -e "$W/backup/files/$folder/$name" ] || continue
		# One that was not replaced yet is the same file under two names, which `mv` would not take.
		[ "$W/backup/files/$folder/$name" -ef "$TREE/$folder/$name" ] && continue
		if [ "$folder" != "$at" ]; then
			move_all "$TREE/$at" "$@" || return 1
			set --
			at=$folder
		fi
		set -- "$@" "$W/backup/files/$folder/$name"
	done <"$W/new/plan"
	move_all "$TREE/$at" "$@" || return 1
	set --
	while IFS=$TAB read -r kind folder name had; do
		[ "$kind $had" = 'put 0' ] && set -- "$@" "$TREE/$folder/$name"
	done <"$W/new/plan"
	if [ "$#" -gt 0 ]; then
		problem=$(rm -f "$@" 2>&1) || return 1
	fi
	set --
	while IFS=$TAB read -r kind folder; do
		[ "$kind" = made ] && set -- "$TREE/$folder" "$@"
	done <"$W/new/plan"
	[ "$#" -eq 0 ] || rmdir "$@"
	return 0
}

# What was replaced is kept when the change is proved. Done again after a kill, it goes on where it was.
keep_replaced() {
	newest=0
	for one in "$RECORDS"/kept/*; do
		one=${one##*/}
		case $one in *[!0-9]*) continue ;; esac
		[ "$one" -gt "$newest" ] && newest=$one
	done
	last=
	[ "$newest" = 0 ] || read -r last <"$RECORDS/kept/$newest/rollout"
	[ "$last" != "$ROLLOUT" ] || return 0
	FILES=0
	read_journal
	if [ ! -e "$W/new/plan" ]; then
		[ "$FILES" -gt 0 ] || return 0
		mkdir -p "$W/new"
		: >"$W/new/plan"
	fi
	while IFS=$TAB read -r kind number; do
		case $kind$number in
		*[!0-9a-z]*) ;;
		took*)
			mv "$RECORDS/kept/$number" "$W/gone" || rm -rf "$RECORDS/kept/$number"
			return 0
			;;
		esac
	done <"$W/new/plan"
	if ! assemble_kept || ! mv "$W/kept" "$RECORDS/kept/$((newest + 1))"; then
		tell 'what it replaced could not be kept: no rollback can take this rollout back'
		return 0
	fi
	set --
	for one in "$RECORDS"/kept/*; do
		case ${one##*/} in *[!0-9]*) continue ;; esac
		[ "${one##*/}" -gt "$((newest + 1 - KEEP))" ] || set -- "$@" "$one"
	done
	[ "$#" -eq 0 ] || rm -rf "$@"
}

assemble_kept() {
	mkdir -p "$W/kept" "$RECORDS/kept" || return 1
	if [ -d "$W/backup/files" ]; then
		mv "$W/backup/files" "$W/kept/files" || return 1
	fi
	cat "$W/new/plan" >"$W/kept/plan" && : >"$W/kept/before" && : >"$W/kept/after" || return 1
	set --
	while IFS=$TAB read -r kind folder name had; do
		case $kind$had in put1 | del) set -- "$@" "$folder/$name" ;; esac
	done <"$W/new/plan"
	if [ "$#" -gt 0 ]; then
		(cd "$W/kept/files" && sha256sum "$@") >"$W/kept/before" || return 1
	fi
	set --
	while IFS=$TAB read -r kind folder name had; do
		[ "$kind" = put ] && set -- "$@" "$folder/$name"
	done <"$W/new/plan"
	if [ "$#" -gt 0 ]; then
		(cd "$TREE" && sha256sum "$@") >"$W/kept/after" || return 1
	fi
	printf '%s\n' "$ROLLOUT" >"$W/kept/rollout"
}
