# The gateway's processes as they are now. Given: PREFIX.
LC_ALL=C
export LC_ALL
exec 2>/dev/null </dev/null

# Old workers may serve long connections for hours after a reload; they take no new ones.
worker() {
	title=
	read -r title <"/proc/$1/cmdline"
	case $title in *'shutting down'*) return ;; esac
	read -r line <"/proc/$1/stat" && printf '@@pumice worker %s\n' "$line"
}
read -r up _ </proc/uptime && printf '@@pumice uptime %s\n' "$up"
master=
read -r master <"$PREFIX/pids/nginx.pid"
case $master in '' | *[!0-9]*) exit 0 ;; esac
read -r line <"/proc/$master/stat" && printf '@@pumice master %s\n' "$line"
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
