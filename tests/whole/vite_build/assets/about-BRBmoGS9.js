function t(e){e.dataset.about="yes"}export{t as show};
