# A change of the node's own LuaRocks tree, file by file: `$W/new/plan` says what goes where, one thing a line,
# its words separated by tabs; `$W/backup/files` has what was there before. `steps.sh` follows.
#
#   put FOLDER NAME HAD   a file comes from $W/new/files; HAD is 1 where one was there before
#   del FOLDER NAME       a file goes
#   made FOLDER           a folder that was not there before
#   prune FOLDER          a folder that goes if it is empty
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
