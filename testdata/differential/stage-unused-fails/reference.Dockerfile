FROM 127.0.0.1:5000/library/busybox AS wanted
RUN echo wanted > /out
