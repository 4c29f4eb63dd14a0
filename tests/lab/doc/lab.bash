# bash completion for lab: `. tests/lab/doc/lab.bash`                                        -*- shell-script -*-
# The program itself knows its verbs, the lab's machines and the app's parameters.

_k8s_lab() {
    local words=("${COMP_WORDS[@]:1:COMP_CWORD-1}") name=()
    local previous=${COMP_WORDS[COMP_CWORD-1]}
    if [ "${words[0]:-}" = --name ]; then
        [ ${#words[@]} -gt 1 ] || return 0
        name=(--name "${words[1]}")
        words=("${words[@]:2}")
    fi
    case $previous in
    --values | --package | --confd | --from | report)
        mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
        ;;
    *)
        mapfile -t COMPREPLY < <(compgen -W "$("$1" "${name[@]}" help --words "${words[@]}" 2>/dev/null)" \
            -- "${COMP_WORDS[COMP_CWORD]}")
        [[ ${COMPREPLY[*]:-} != *= ]] || compopt -o nospace 2>/dev/null
        ;;
    esac
}
complete -F _k8s_lab lab
