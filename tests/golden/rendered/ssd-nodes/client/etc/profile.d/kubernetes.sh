case ":$PATH:" in
*:/opt/kubernetes/bin:*) ;;
*) PATH=$PATH:/opt/kubernetes/bin ;;
esac
if [ -n "${BASH_VERSION-}" ] && [ -n "${PS1-}" ] && command -v kubectl >/dev/null; then
    [ ! -r /usr/share/bash-completion/bash_completion ] || . /usr/share/bash-completion/bash_completion
    . /dev/stdin <<COMPLETION
$(kubectl completion bash)
COMPLETION
fi
