# What the newest rollout that is not taken back keeps of a LuaRocks tree, and whether that and the tree are still
# as it left them. Given: TREE RECORDS.
LC_ALL=C
export LC_ALL
unset CDPATH
exec 2>/dev/null </dev/null
cd "$RECORDS/kept" || exit 0
newest=0
for one in *; do
	case $one in *[!0-9]*) continue ;; esac
	[ "$one" -gt "$newest" ] && newest=$one
done
[ "$newest" -gt 0 ] && cd "$newest" || exit 0
printf '@@pumice kept %s\n' "$newest"
here=$RECORDS/kept/$newest
printf '@@pumice after\n'
[ ! -s after ] || (cd "$TREE" && sha256sum -c "$here/after")
printf '@@pumice before\n'
[ ! -s before ] || (cd files && sha256sum -c "$here/before")
printf '@@pumice tar\n'
set --
for file in rollout plan before after files/lib/luarocks/rocks-5.1/manifest \
	files/lib/luarocks/rocks-5.1/*/*/rock_manifest; do
	[ -f "$file" ] && set -- "$@" "$file"
done
exec tar -cf - "$@"
