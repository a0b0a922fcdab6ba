FROM 127.0.0.1:5000/library/busybox
RUN echo linux/$(uname -m | sed "s/x86_64/amd64/;s/aarch64/arm64/") linux > /out
