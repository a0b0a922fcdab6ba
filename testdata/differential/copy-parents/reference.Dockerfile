FROM 127.0.0.1:5000/library/busybox
COPY dir1/a.png /kept/dir1/
COPY dir2/deep /kept/dir2/deep
COPY dir2/deep /pivot/deep
