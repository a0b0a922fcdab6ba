FROM 127.0.0.1:5000/library/busybox
COPY dir1/a.png home.md /all/
COPY dir2/d.mp3 /no-deep/
ADD --chown=5:6 dir2/deep /only/deep/
