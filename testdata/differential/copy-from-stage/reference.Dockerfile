FROM 127.0.0.1:5000/library/busybox AS maker
RUN mkdir -p /out/sub && echo built > /out/file && echo more > /out/sub/more && chmod 600 /out/file
RUN ln -s file /out/link && ln /out/file /out/hard
FROM 127.0.0.1:5000/library/busybox
COPY --from=maker /out /copied
COPY --from=maker /out/file /single
COPY --from=maker out/sub/more /relative
COPY --from=maker /out/* /wild/
COPY --from=maker /etc/group /case
