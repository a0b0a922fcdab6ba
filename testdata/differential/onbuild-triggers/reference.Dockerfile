FROM 127.0.0.1:5000/library/busybox
RUN echo base > /base
ENV made=child
COPY a.txt /onbuild/
RUN echo $made > /onbuild/run
WORKDIR /onbuild
RUN pwd > /after
